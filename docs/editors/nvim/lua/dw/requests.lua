---The server's commands: sent to the client of the buffer, their answers and refusals told.
local M = {}

---The server of a buffer, else any that runs: the worker is asked about from anywhere.
---@param buffer? integer
---@return vim.lsp.Client?
function M.client(buffer)
  return vim.lsp.get_clients({ name = "dw_lsp", bufnr = buffer or vim.api.nvim_get_current_buf() })[1]
    or vim.lsp.get_clients({ name = "dw_lsp" })[1]
end

---Carry out a command of the server. A refusal is shown.
---@param command string
---@param argument table?
---@param answered? fun(result: any)
function M.execute(command, argument, answered)
  local client = M.client()
  if not client then
    vim.notify("dw: no server runs here: open a workflow (*.dw.json), or see :checkhealth dw", vim.log.levels.ERROR)
    return
  end
  local params = { command = command, arguments = argument and { argument } or {} }
  client:request("workspace/executeCommand", params, function(problem, result)
    if problem then
      vim.notify("dw: " .. problem.message, vim.log.levels.ERROR)
    elseif answered then
      answered(result)
    end
  end)
end

return M
