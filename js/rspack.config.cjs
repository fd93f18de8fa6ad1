// Numbers of modules and chunks, which jupyter-builder would derive from the absolute path of this
// folder: two builds of the same sources have to be the same.
module.exports = { optimization: { moduleIds: "natural", chunkIds: "natural" } };
