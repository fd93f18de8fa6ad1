import { sidePanel } from "./sidepanel";
import { statusItem } from "./status";

export default [statusItem, sidePanel];
