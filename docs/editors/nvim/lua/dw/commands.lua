---The commands that a user types.
local M = {}

---@param module string
---@param action string
local function plain(module, action)
  return function() require(module)[action]() end
end

function M.define()
  local define = vim.api.nvim_create_user_command
  local function complete(lead, line) return require("dw.runs").complete(lead, line) end
  define("DwRun", function(given) require("dw.runs").run(given.fargs) end, {
    nargs = "*",
    complete = complete,
    desc = "Run the workflow, with NAME=VALUE for its variables",
  })
  define("DwRunToHere", function(given) require("dw.runs").run_to_here(given.fargs) end, {
    nargs = "*",
    complete = complete,
    desc = "Run the workflow up to the step under the cursor",
  })
  define("DwCancel", plain("dw.runs", "cancel"), { desc = "Cancel the run" })
  define("DwResult", plain("dw.results", "show"), { desc = "Show what the last run made" })
  define("DwMemory", plain("dw.worker", "memory"), { desc = "Memory of the device and its components" })
  define("DwClear", plain("dw.worker", "clear"), { desc = "Let go of all models" })
  define("DwStatus", plain("dw.worker", "status"), { desc = "What the worker does" })
  define("DwRestart", plain("dw.worker", "restart"), { desc = "Start the worker anew" })
  define("DwShutdown", plain("dw.worker", "shutdown"), { desc = "End the worker" })
  define("DwLog", plain("dw.log", "show"), { desc = "What the worker's libraries print" })
end

return M
