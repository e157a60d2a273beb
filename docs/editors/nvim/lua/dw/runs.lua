---Running the workflow of the buffer, as it is written there, saved or not.
local requests = require("dw.requests")
local state = require("dw.state")
local workflow = require("dw.workflow")

local M = {}

---NAME=VALUE words as an object. Values stay text: the workflow's defaults say what they become.
---@param words string[]
---@return table<string, string>? arguments nil if a word is none
local function read(words)
  local arguments = vim.empty_dict()
  for _, word in ipairs(words) do
    local name, value = word:match("^([^=]+)=(.*)$")
    if not name then
      vim.notify(("dw: %q is not NAME=VALUE; spaces are written with a backslash before"):format(word), vim.log.levels.ERROR)
      return nil
    end
    arguments[name] = value
  end
  return arguments
end

---@param argument table
local function run(argument)
  argument.uri = vim.uri_from_bufnr(0)
  requests.execute("dw.run", argument, function(accepted)
    state.accepted(accepted.runId, argument.uri, accepted.position)
    if accepted.position > 0 then vim.notify(("dw: waits behind %d other runs"):format(accepted.position)) end
  end)
end

---@param words string[] NAME=VALUE for variables
function M.run(words)
  local arguments = read(words)
  if arguments then run({ arguments = arguments }) end
end

---Run up to and with the step under the cursor.
---@param words string[]
function M.run_to_here(words)
  local arguments, client = read(words), requests.client()
  if not arguments then return end
  local line = vim.api.nvim_win_get_cursor(0)[1] - 1
  local step = client and workflow.step_at(client, 0, line)
  if not step then
    vim.notify("dw: there is no step at or before the cursor", vim.log.levels.ERROR)
    return
  end
  run({ arguments = arguments, step = step })
end

function M.cancel()
  requests.execute("dw.cancel", nil, function(answer)
    if not answer.cancelled then vim.notify("dw: nothing runs") end
  end)
end

---What may stand at a word of :DwRun: variables that are not given yet, with their defaults.
---@param lead string
---@param line string
---@return string[]
function M.complete(lead, line)
  local client = requests.client()
  local found = {}
  for _, variable in ipairs(client and workflow.variables(client, 0) or {}) do
    local given = line:find(" " .. variable.name .. "=", 1, true) and not vim.startswith(lead, variable.name .. "=")
    local default = variable.default:gsub('^"(.*)"$', "%1"):gsub("[ \\]", "\\%0")
    for _, word in ipairs(given and {} or { variable.name .. "=", variable.name .. "=" .. default }) do
      if vim.startswith(word, lead) and (lead:find("=", 1, true) ~= nil) == (word:sub(-1) ~= "=") then
        table.insert(found, word)
      end
    end
  end
  return found
end

return M
