---`:checkhealth dw`: is the server there, does it answer, and what has its worker's Python.
local M = {}

local PATIENCE = 60000
local health = vim.health

---@return string[]
local function command() return vim.lsp.config.dw_lsp.cmd --[[@as string[] ]] end

local function check_editor()
  if vim.fn.has("nvim-0.11") == 1 then
    health.ok("Neovim " .. tostring(vim.version()))
  else
    health.error("Neovim 0.11 or later is needed")
  end
end

---@param report { items: { name: string, state: string, told: string, remedy?: string }[] } of `dw-lsp doctor --json`
local function tell(report)
  local tellers = { ok = health.ok, warning = health.warn, problem = health.error }
  for _, item in ipairs(report.items) do
    tellers[item.state](("%s: %s"):format(item.name, item.told), item.remedy and { item.remedy } or nil)
  end
end

---The settings that decide what the worker is, as the command line takes them.
---@return table<string, string>
local function environment()
  local worker = vim.tbl_get(vim.lsp.config.dw_lsp, "settings", "dw", "worker") or {}
  return { DW_WORKER_PYTHON = worker.python, DW_WORKER_COMMAND = worker.command and vim.json.encode(worker.command) }
end

---@param words string[]
---@return vim.SystemCompleted?
local function output(words)
  local options = { text = true, timeout = PATIENCE, env = environment() }
  local started, process = pcall(vim.system, words, options)
  return started and process:wait() or nil
end

local function check_server()
  local words = command()
  if vim.fn.executable(words[1]) == 0 then
    local advice = { "pip install dw-lsp", 'or vim.lsp.config("dw_lsp", { cmd = { "/path/to/dw-lsp" } })' }
    health.error(("`%s` cannot be started"):format(words[1]), advice)
    return
  end
  health.ok(("the server is started with `%s`"):format(table.concat(words, " ")))
  health.start("dw: the worker's Python")
  local program = vim.list_slice(words, 1, (vim.iter(ipairs(words)):find(function(_, word) return word == "serve" end) or #words + 1) - 1)
  local answer = output(vim.list_extend(program, { "doctor", "--json" }))
  local read, report = pcall(vim.json.decode, answer and answer.stdout or "", { luanil = { object = true } })
  if read then
    tell(report)
  else
    health.error("`dw-lsp doctor` gives no answer", { vim.trim(answer and answer.stderr or "") })
  end
end

local function check_clients()
  health.start("dw: servers of this session")
  local clients = vim.lsp.get_clients({ name = "dw_lsp" })
  for _, client in ipairs(clients) do
    health.ok(("runs for %s, positions in %s"):format(client.root_dir or "single files", client.offset_encoding))
  end
  if #clients == 0 then health.info("none runs; one is started when a workflow is opened") end
  local state = require("dw.state")
  if state.worker then health.info("the worker is " .. state.worker.state) end
end

function M.check()
  health.start("dw: the server")
  check_editor()
  check_server()
  check_clients()
end

return M
