---Which buffers hold a workflow, and what is in it: asked of the server, which has read it already.
local M = {}

---Lines that are looked at in a file whose name does not say what it is.
local LOOKED_AT = 4000
local KINDS = { "pipeline", "pipeline_reference", "task", "workflow" }
local PATIENCE = 2000

---Whether a buffer is worth a server: by its name, else by what a workflow has and other files do not.
---@param buffer integer
---@return boolean
function M.is_workflow(buffer)
  if vim.bo[buffer].filetype == "dw-workflow" then return true end
  local text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, LOOKED_AT, false), "\n")
  if not text:find('"steps"%s*:%s*%[') then return false end
  return vim.iter(KINDS):any(function(kind) return text:find('"' .. kind .. '"%s*:') ~= nil end)
end

---The outline of a workflow, as the server sees it now.
---@param client vim.lsp.Client
---@param buffer integer
---@return lsp.DocumentSymbol[]
local function outline(client, buffer)
  local params = { textDocument = vim.lsp.util.make_text_document_params(buffer) }
  local answer = client:request_sync("textDocument/documentSymbol", params, PATIENCE, buffer)
  return answer and answer.result or {}
end

---@return lsp.DocumentSymbol[]
local function children(client, buffer, name)
  for _, symbol in ipairs(outline(client, buffer)) do
    if symbol.name == name then return symbol.children or {} end
  end
  return {}
end

---The names of the variables, each with the text of its default.
---@param client vim.lsp.Client
---@param buffer integer
---@return { name: string, default: string }[]
function M.variables(client, buffer)
  return vim.tbl_map(
    function(symbol) return { name = symbol.name, default = symbol.detail or "" } end,
    children(client, buffer, "variables")
  )
end

---The name of the step around a line, or of the last one before it.
---@param client vim.lsp.Client
---@param buffer integer
---@param line integer counted from 0
---@return string?
function M.step_at(client, buffer, line)
  local found
  for _, step in ipairs(children(client, buffer, "steps")) do
    if step.range.start.line <= line then found = step.name end
  end
  return found
end

return M
