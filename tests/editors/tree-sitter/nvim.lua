-- Neovim reads a policy by the grammar: its tree has no error, and its query has colours for it.
local language = vim.treesitter
local text = 'allow egress garden/{app=web} -> a.example.com:443\n'
local tree = language.get_string_parser(text, "netpol"):parse()[1]
local query = (language.query and language.query.get or language.get_query)("netpol", "highlights")
local seen = {}
for id, node in query:iter_captures(tree:root(), text, 0, 1) do
  local _, first, _, last = node:range()
  seen[query.captures[id] .. " " .. text:sub(first + 1, last)] = true
end
if tree:root():has_error() or not (seen["keyword allow"] and seen["module garden"] and seen["property app"]) then
  io.stderr:write("neovim: the tree or its colours are wrong\n")
  vim.cmd("cquit 1")
end
print("neovim: the grammar and its colours are right")
vim.cmd("qall!")
