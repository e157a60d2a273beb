---What a configuration may use: the text for a status line, and the state behind it.
local M = {}

---Progress of the run and memory of the device, for a status line: `%{%v:lua.require'dw'.statusline()%}`.
---@return string
function M.statusline()
  local state, wording = require("dw.state"), require("dw.wording")
  local parts, run = {}, state.running()
  if run then
    table.insert(parts, run.progress and wording.progress(run.progress) or (run.workflow .. ": starting"))
  elseif state.worker and (state.worker.state == "crashed" or state.worker.state == "unresponsive") then
    table.insert(parts, "worker " .. state.worker.state)
  end
  if state.memory then table.insert(parts, wording.memory(state.memory)) end
  return (table.concat(parts, "  "):gsub("%%", "%%%%"))
end

return M
