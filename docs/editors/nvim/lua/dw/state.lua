---What is known of the worker and its runs: filled by the server's notifications, read by everything that shows it.
local M = {}

---@class dw.Run
---@field id string
---@field uri string
---@field workflow string
---@field progress? table the last dw/runProgress
---@field preview? table the last dw/preview
---@field position? integer place in the queue; 0 is running

---@type table? the last dw/workerState
M.worker = nil
---@type table? the last memory report
M.memory = nil
---@type table<string, dw.Run> runs that have not ended, by id
M.runs = {}
---@type table? the last dw/runFinished
M.finished = nil
---@type table<string, table[]> results of the last run of each document, by URI
M.results = {}

---The run that is at work now.
---@return dw.Run?
function M.running()
  for _, run in pairs(M.runs) do
    if run.position == 0 then return run end
  end
end

---A run that was accepted: what the server says of it next needs its document.
---@param id string
---@param uri string
---@param position integer
function M.accepted(id, uri, position)
  M.runs[id] = M.runs[id] or { id = id, uri = uri, workflow = vim.fs.basename(vim.uri_to_fname(uri)), position = position }
end

return M
