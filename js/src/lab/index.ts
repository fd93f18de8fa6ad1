import { statusItem } from "./status";

export default [statusItem];
