-- Neovim as the client: opens a policy, and holds the server's answers against what they must be.
local folder = assert(os.getenv("FOLDER"))

local function fail(what)
  io.stderr:write("neovim: " .. what .. "\n")
  vim.cmd("cquit 1")
end

local function due(what, ok)
  if not ok then
    fail(what)
  end
end

vim.cmd("edit " .. folder .. "/shop.netpol")
local buffer = vim.api.nvim_get_current_buf()
due("the file has its type", vim.bo[buffer].filetype == "netpol")
due("the words have their colours", vim.b.current_syntax == "netpol")

-- The set-up of this repository starts the server: one line in new versions, a file of `plugin/` in others.
if vim.lsp.enable then
  vim.lsp.enable("netpol")
end
due("the server starts", vim.wait(20000, function()
  return #(vim.lsp.get_clients or vim.lsp.get_active_clients)() == 1
end, 20))

local function diagnostics(count)
  return vim.wait(20000, function()
    return #vim.diagnostic.get(buffer) == count
  end, 20)
end

due("one finding", diagnostics(1))
local found = vim.diagnostic.get(buffer)[1]
due("its code", found.code == "E0202")
due("its line", found.lnum == 2)

local function ask(method, line, character, more)
  local params = vim.tbl_extend("force", {
    textDocument = { uri = vim.uri_from_bufnr(buffer) },
    position = { line = line, character = character },
  }, more or {})
  local answers = vim.lsp.buf_request_sync(buffer, method, params, 20000)
  for _, answer in pairs(answers or {}) do
    due(method .. ": " .. vim.inspect(answer.err), answer.err == nil)
    return answer.result
  end
  fail(method .. " has no answer")
end

local hover = ask("textDocument/hover", 1, 32)
due("the hover quotes the statement", hover.contents.value:find("let db = data/{app=db}", 1, true) ~= nil)
local place = ask("textDocument/definition", 1, 32)[1]
due("the definition", place.range.start.line == 0 and place.range.start.character == 4)
due("the references", #ask("textDocument/references", 1, 32, { context = { includeDeclaration = true } }) == 2)
due("the outline", #ask("textDocument/documentSymbol", 0, 0) == 3)

-- The finding goes when its name comes, and comes again when the edit is undone.
vim.api.nvim_buf_set_lines(buffer, 0, 0, false, { "let nowhere = 203.0.113.0/24" })
due("no finding after the edit", diagnostics(0))
-- A lens shows the YAML of its rule in a window of its own.
local lens = { command = "netpol.showYaml", arguments = { vim.uri_from_bufnr(buffer), { line = 2, character = 0 } } }
require("netpol").commands[lens.command](lens, { bufnr = buffer })
due("the YAML of a rule", vim.wait(20000, function()
  return vim.bo.filetype == "yaml" and vim.fn.search("kind: NetworkPolicy", "n") > 0
end, 20))
vim.cmd("close")

vim.cmd("silent undo")
due("the finding is back", diagnostics(1))

-- A rename changes the buffer.
local edit = ask("textDocument/rename", 1, 32, { newName = "store" })
vim.lsp.util.apply_workspace_edit(edit, "utf-16")
due("the rename", vim.api.nvim_buf_get_lines(buffer, 0, 1, false)[1] == "let store = data/{app=db}")
print("neovim: diagnostics, hover, definition, references, outline, rename and the YAML of a rule are right")
vim.cmd("qall!")
