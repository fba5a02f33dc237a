;;; netpol-mode.el --- Policies of cluster networks  -*- lexical-binding: t; -*-

;; Version: 0.1.0
;; Package-Requires: ((emacs "29.1"))
;; Keywords: languages

;;; Commentary:

;; A mode for *.netpol with the words of the language.  `eglot' starts the server, `netpol lsp'.

;;; Code:

(defconst netpol-keywords
  '("allow" "deny" "default" "let" "use" "namespace" "service" "workload" "issuer" "gateway" "template" "apply" "scope" "assert" "test"
    "host" "at" "via" "where" "except" "in" "notin" "as" "egress" "ingress" "never" "always"
    "labels" "select" "port" "account" "sidecar" "host-network" "url" "jwks" "keys" "audiences" "from" "pods" "proxies"
    "method" "path" "header" "jwt" "subject" "claim" "weight" "each" "param" "prefix"))

(defconst netpol-types
  '("Namespace" "Workloads" "Host" "Addresses" "Endpoint" "Port" "String"))

(defconst netpol-protocols
  '("tcp" "udp" "sctp" "icmp" "http" "grpc" "tls" "https"))

(defconst netpol-annotations
  '("owner" "reason" "expires" "approximate" "allow"))

(defvar netpol-mode-syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?# "<" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?\" "\"" table)
    (modify-syntax-entry ?- "_" table)
    (modify-syntax-entry ?_ "_" table)
    (modify-syntax-entry ?. "_" table)
    table))

(defvar netpol-font-lock-keywords
  `((,(concat "@" (regexp-opt netpol-annotations) "\\_>") . font-lock-preprocessor-face)
    (,(concat "/" (regexp-opt netpol-protocols t) "\\_>") 1 font-lock-constant-face)
    (,(regexp-opt netpol-types 'symbols) . font-lock-type-face)
    (,(regexp-opt netpol-keywords 'symbols) . font-lock-keyword-face)
    ("<?->" . font-lock-builtin-face)))

;;;###autoload
(define-derived-mode netpol-mode prog-mode "netpol"
  "Major mode for policies of cluster networks."
  (setq-local comment-start "# ")
  (setq-local comment-start-skip "#+ *")
  (setq-local indent-tabs-mode nil)
  (setq-local font-lock-defaults '(netpol-font-lock-keywords)))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.netpol\\'" . netpol-mode))

(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs '(netpol-mode . ("netpol" "lsp"))))

(provide 'netpol-mode)
;;; netpol-mode.el ends here
