---Numbers and events as people read them.
local M = {}

---@param bytes number? JSON's null arrives as vim.NIL
---@return string
function M.size(bytes)
  if type(bytes) ~= "number" then return "?" end
  if bytes < 1e9 then return ("%.0f MB"):format(bytes / 1e6) end
  return ("%.1f GB"):format(bytes / 1e9)
end

---@param seconds number
---@return string
function M.time(seconds)
  if seconds < 10 then return ("%.1f s"):format(seconds) end
  if seconds < 90 then return ("%.0f s"):format(seconds) end
  return ("%d:%02d min"):format(math.floor(seconds / 60), math.floor(seconds % 60))
end

---Used and all memory of the device, such as `GPU 8.2/24.0 GB`.
---@param report table?
---@return string
function M.memory(report)
  if not report then return "" end
  local is_host = report.device == "cpu"
  local used = is_host and report.processBytes or report.reservedBytes
  local name = is_host and "CPU" or "GPU"
  if type(used) ~= "number" then return name end
  if type(report.totalBytes) ~= "number" then return ("%s %.1f GB"):format(name, used / 1e9) end
  return ("%s %.1f/%.1f GB"):format(name, used / 1e9, report.totalBytes / 1e9)
end

---Where a run is: `draw: denoising 7/20, 3 s left`.
---@param progress table
---@return string
function M.progress(progress)
  local words = ("%s: %s"):format(progress.step, progress.phase)
  if progress.iterationCount and progress.iterationCount > 1 then
    words = ("%s (%d of %d)"):format(words, progress.iteration + 1, progress.iterationCount)
  end
  if progress.total then words = ("%s %d/%d"):format(words, progress.current or 0, progress.total) end
  if progress.eta then words = ("%s, %s left"):format(words, M.time(progress.eta)) end
  return words
end

---How a run ended, in a sentence.
---@param finished table
---@return string
function M.finished(finished)
  local reused = #vim.tbl_filter(function(step) return step.outcome == "reused" end, finished.steps)
  local words = ("%s after %s"):format(finished.outcome, M.time(finished.seconds))
  if reused > 0 then words = ("%s, %d of %d steps reused"):format(words, reused, #finished.steps) end
  if finished.error then
    words = ("%s: %s"):format(words, finished.error.message)
    if finished.error.hint then words = words .. " " .. finished.error.hint end
  end
  return words
end

return M
