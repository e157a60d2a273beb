---Asking about the worker, and ruling it.
local requests = require("dw.requests")
local state = require("dw.state")
local wording = require("dw.wording")

local M = {}

---@param report table
---@return string[]
local function described(report)
  local lines = {
    ("%s  %s"):format(wording.memory(report), type(report.deviceName) == "string" and report.deviceName or ""),
    ("worker %s, host has %s free"):format(wording.size(report.processBytes), wording.size(report.hostFreeBytes)),
  }
  for _, component in ipairs(report.components) do
    local where = ("  %-32s %10s  %s"):format(component.name, wording.size(component.bytes), component.device)
    table.insert(lines, where)
  end
  return vim.list_extend(lines, report.warnings or {})
end

local function tell(report)
  state.memory = report
  vim.notify(table.concat(described(report), "\n"))
end

function M.memory() requests.execute("dw.memory", nil, tell) end

function M.clear() requests.execute("dw.clear", nil, tell) end

function M.restart()
  requests.execute("dw.restart", nil, function(answer) vim.notify("dw: the worker is " .. answer.state) end)
end

function M.shutdown()
  requests.execute("dw.shutdown", nil, function(answer) vim.notify("dw: the worker is " .. answer.state) end)
end

function M.status()
  requests.execute("dw.status", nil, function(answer)
    local words = { "dw: the worker is " .. answer.state }
    if answer.pid then table.insert(words, ("process %d, %s"):format(answer.pid, answer.device or "device not known yet")) end
    if answer.exit then table.insert(words, "the last one ended: " .. answer.exit.reason) end
    vim.notify(table.concat(words, "; "))
  end)
end

return M
