//! The extension of Zed: starts `netpol lsp`.

use zed_extension_api as zed;

struct Netpol;

impl zed::Extension for Netpol {
    fn new() -> Netpol {
        Netpol
    }

    fn language_server_command(
        &mut self,
        _server: &zed::LanguageServerId,
        worktree: &zed::Worktree,
    ) -> zed::Result<zed::Command> {
        let command = worktree.which("netpol").ok_or("`netpol` is not on the PATH")?;
        Ok(zed::Command { command, args: vec!["lsp".to_owned()], env: worktree.shell_env() })
    }
}

zed::register_extension!(Netpol);
