---The results of the last run of a document, and which of them is shown.
local pictures = require("dw.pictures")
local state = require("dw.state")

local M = {}

---Show the last result of the buffer's workflow; of several, the one that is chosen.
function M.show()
  local results = state.results[vim.uri_from_bufnr(0)] or (state.finished and state.finished.results) or {}
  if #results == 0 then
    vim.notify("dw: no run of this session has made anything yet")
  elseif #results == 1 then
    pictures.show(results[1])
  else
    local function title(result) return ("%s %d: %s"):format(result.step, result.index, vim.fs.basename(result.path)) end
    vim.ui.select(results, { prompt = "Result", format_item = title }, function(chosen)
      if chosen then pictures.show(chosen) end
    end)
  end
end

return M
