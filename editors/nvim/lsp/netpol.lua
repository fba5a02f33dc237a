-- The settings of the server for Neovim 0.11 and later: `vim.lsp.enable("netpol")`.
return {
  cmd = { "netpol", "lsp" },
  filetypes = { "netpol" },
  root_markers = { "netpol.toml", ".git" },
  commands = require("netpol").commands,
}
