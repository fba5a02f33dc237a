;;; emacs.el --- Emacs as the client  -*- lexical-binding: t; -*-

;; Opens a policy with eglot, and holds the server's answers against what they must be.

(require 'netpol-mode)
(require 'eglot)

(defun due (what ok)
  (unless ok
    (message "emacs: %s" what)
    (kill-emacs 1)))

(defun wait-for (what test)
  (let ((tries 200))
    (while (and (> tries 0) (not (funcall test)))
      (setq tries (1- tries))
      (accept-process-output nil 0.1)
      (sit-for 0.01))
    (due what (funcall test))))

(defun lines () (buffer-substring-no-properties (point-min) (point-max)))

(defun at (line column)
  (goto-char (point-min))
  (forward-line (1- line))
  (forward-char column))

(find-file (expand-file-name "shop.netpol" (getenv "FOLDER")))
(due "the file has its mode" (eq major-mode 'netpol-mode))
(font-lock-ensure)
(due "the words have their colours" (eq (get-text-property 1 'face) 'font-lock-keyword-face))
(apply #'eglot--connect (eglot--guess-contact))
(wait-for "the server starts" #'eglot-current-server)
(flymake-mode 1)
(wait-for "one finding" (lambda () (flymake-start) (= 1 (length (flymake-diagnostics)))))
(due "its line" (= 3 (line-number-at-pos (flymake-diagnostic-beg (car (flymake-diagnostics))))))

(at 2 31)
(let ((hover (jsonrpc-request (eglot-current-server) :textDocument/hover (eglot--TextDocumentPositionParams))))
  (due "the hover quotes the statement" (string-match-p "let db = data/{app=db}" (plist-get (plist-get hover :contents) :value))))
(at 2 31)
(xref-find-definitions "LSP identifier at point.")
(due "the definition" (= 1 (line-number-at-pos)))
(eglot-rename "store")
(due "the rename" (string-match-p "\\`let store = data/{app=db}\nallow egress shop/{app=web} -> store:5432" (lines)))
(eglot-format-buffer)

(goto-char (point-min))
(insert "let nowhere = 203.0.113.0/24\n")
;; Emacs does this where it is idle, which it never is without a terminal.
(eglot--signal-textDocument/didChange)
(wait-for "no finding after the edit" (lambda () (flymake-start) (null (flymake-diagnostics))))
(message "emacs: colours, diagnostics, hover, definition and rename are right")
(set-buffer-modified-p nil)
(kill-emacs 0)
;;; emacs.el ends here
