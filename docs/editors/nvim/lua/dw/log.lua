---What the worker's libraries print, in a scratch buffer that `:DwLog` shows.
local M = {}

local NAME = "dw://log"
local MOST_LINES = 5000
---@type integer?
local buffer

---@return integer
local function made()
  if buffer and vim.api.nvim_buf_is_valid(buffer) then return buffer end
  buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buffer, NAME)
  vim.bo[buffer].bufhidden = "hide"
  vim.bo[buffer].modifiable = false
  return buffer
end

---Add text; a window at the end of the log stays there.
---@param text string
function M.add(text)
  local log = made()
  local lines = vim.split(text, "\n", { plain = true })
  local before = vim.api.nvim_buf_line_count(log)
  local is_empty = before == 1 and vim.api.nvim_buf_get_lines(log, 0, 1, false)[1] == ""
  vim.bo[log].modifiable = true
  vim.api.nvim_buf_set_lines(log, is_empty and 0 or -1, -1, false, lines)
  vim.api.nvim_buf_set_lines(log, 0, math.max(0, vim.api.nvim_buf_line_count(log) - MOST_LINES), false, {})
  vim.bo[log].modifiable = false
  vim.bo[log].modified = false
  local last = vim.api.nvim_buf_line_count(log)
  for _, window in ipairs(vim.fn.win_findbuf(log)) do
    if vim.api.nvim_win_get_cursor(window)[1] >= math.min(before, last) then
      vim.api.nvim_win_set_cursor(window, { last, 0 })
    end
  end
end

---A notification `dw/log`.
---@param params { level: string, message: string }
function M.line(params) M.add(("[%s] %s"):format(params.level, params.message)) end

---Show the log in a window below.
function M.show()
  vim.cmd.split()
  vim.api.nvim_win_set_buf(0, made())
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(made()), 0 })
end

return M
