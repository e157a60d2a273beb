---What the server tells besides the language: each `dw/...` notification to its place.
local log = require("dw.log")
local state = require("dw.state")
local wording = require("dw.wording")

local M = {}

---Mistakes that a run found; the server's own diagnostics have a namespace of their own.
M.namespace = vim.api.nvim_create_namespace("dw.run")

local LEVELS = { failed = "ERROR", timedOut = "ERROR", crashed = "ERROR", cancelled = "WARN", succeeded = "INFO" }

---Have the status line drawn, and tell whoever listens to `User DwChanged`.
local function changed()
  vim.cmd.redrawstatus({ bang = true })
  vim.api.nvim_exec_autocmds("User", { pattern = "DwChanged", modeline = false })
end

---@param finished table
local function mark(finished)
  local buffer = vim.uri_to_bufnr(finished.uri)
  if not vim.api.nvim_buf_is_loaded(buffer) then return end
  local place = finished.error and finished.error.range
  if not place then
    vim.diagnostic.reset(M.namespace, buffer)
    return
  end
  vim.diagnostic.set(M.namespace, buffer, {
    {
      lnum = place.start.line,
      col = place.start.character,
      end_lnum = place["end"].line,
      end_col = place["end"].character,
      severity = vim.diagnostic.severity.ERROR,
      source = "dw run",
      message = finished.error.message .. (finished.error.hint and ("\n" .. finished.error.hint) or ""),
    },
  })
end

local function started(params)
  state.accepted(params.runId, params.uri, 0)
  local run = state.runs[params.runId]
  run.position, run.workflow = 0, params.workflow
  vim.diagnostic.reset(M.namespace, vim.uri_to_bufnr(params.uri))
end

local function finished(params)
  state.runs[params.runId] = nil
  state.finished = params
  if #params.results > 0 then state.results[params.uri] = params.results end
  if type(params.memory) == "table" then state.memory = params.memory end
  mark(params)
  if params.error and params.error.traceback then log.add(params.error.traceback) end
  vim.notify("dw: " .. wording.finished(params), vim.log.levels[LEVELS[params.outcome] or "INFO"])
end

local function worker_state(params)
  local before = state.worker and state.worker.state
  state.worker = params
  if params.state == "crashed" and before ~= "crashed" and params.exit then
    log.add(table.concat(params.exit.stderrTail or {}, "\n"))
    vim.notify("dw: the worker ended: " .. params.exit.reason, vim.log.levels.WARN)
  end
end

local function of_run(field)
  return function(params)
    local run = state.runs[params.runId]
    if run then run[field] = params end
  end
end

local RECEIVERS = {
  ["dw/runStarted"] = started,
  ["dw/runProgress"] = of_run("progress"),
  ["dw/preview"] = of_run("preview"),
  ["dw/stepFinished"] = function() end,
  ["dw/runFinished"] = finished,
  ["dw/memory"] = function(params) state.memory = params end,
  ["dw/workerState"] = worker_state,
  ["dw/log"] = log.line,
}

---@type table<string, lsp.Handler>
M.handlers = {}
for method, receive in pairs(RECEIVERS) do
  M.handlers[method] = function(_, params)
    receive(params)
    changed()
    vim.api.nvim_exec_autocmds("User", { pattern = "Dw:" .. method, modeline = false, data = params })
  end
end

return M
