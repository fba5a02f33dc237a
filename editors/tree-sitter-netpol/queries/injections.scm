; The text of a name's documentation is Markdown.
((doc_comment) @injection.content
  (#set! injection.language "markdown"))

; The keys of an issuer are JSON.
((keys_field (string) @injection.content)
  (#set! injection.language "json"))
