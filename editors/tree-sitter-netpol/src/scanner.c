// The words of netpol. What a word is depends on the bytes beside it and on whether it is the first of its line, as in the
// first pass of the compiler (`src/syntax/scan.rs`); so words are read here, and none by the generated lexer.

#include "tree_sitter/parser.h"

#include <string.h>

// The words of the language; a test compares them with those of the compiler. The first 15 begin statements, and the first
// 27 cannot be names.
static const char *const KEYWORDS[] = {
  "allow", "deny", "default", "let", "use", "namespace", "service", "workload", "issuer", "gateway", "template", "apply",
  "scope", "assert", "test",
  "host", "at", "via", "where", "except", "in", "notin", "as", "egress", "ingress", "never", "always",
  "labels", "select", "port", "account", "sidecar", "host-network", "url", "jwks", "keys", "audiences", "from", "pods",
  "proxies",
  "method", "path", "header", "jwt", "subject", "claim", "weight", "each", "param", "prefix",
};

enum {
  STATEMENTS = 15,
  RESERVED = 27,
  KEYWORD_COUNT = sizeof KEYWORDS / sizeof KEYWORDS[0],
  HOST = 15,
  EACH = 47,
};

// The order is that of `externals` in `grammar.js`.
enum {
  NAME = KEYWORD_COUNT,
  HOST_NAME,
  ADDRESS,
  NAMESPACE_NAME,
  KEY_PREFIX,
  OWN_NAMESPACE,
  INNER_WORD,
  WORD,
  TOUCHING_WORD,
  PORT_NAME,
  TOUCHING_PORT,
  MODULE,
  METHOD,
  STRAY,
  IN_RECOVERY,
};

// Longer words exist, but none of them is a keyword, and Kubernetes has no names of more than 253 bytes.
#define LONGEST 256

static bool is_letter(int32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(int32_t c) { return c >= '0' && c <= '9'; }
static bool is_space(int32_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_first(int32_t c) { return is_letter(c) || is_digit(c) || c == '.' || c == '_'; }
static bool is_part(int32_t c) { return is_first(c) || c == '-'; }
static bool is_address_part(int32_t c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static bool is_protocol(const char *text) {
  static const char *const PROTOCOLS[] = {
    "tcp", "udp", "sctp", "icmp", "http", "grpc", "tls", "https",
  };
  for (size_t at = 0; at < sizeof PROTOCOLS / sizeof PROTOCOLS[0]; at++) {
    if (strcmp(text, PROTOCOLS[at]) == 0) return true;
  }
  return false;
}

// Reads the word at hand into `text`, sets the end of the token after it, and tells which byte is next. A dash before a `>` is an arrow's.
static size_t read_word(TSLexer *lexer, char *text, int32_t *next) {
  size_t length = 0;
  while (is_part(lexer->lookahead)) {
    bool is_dash = lexer->lookahead == '-';
    lexer->mark_end(lexer);
    if (length < LONGEST - 1) text[length++] = (char)lexer->lookahead;
    lexer->advance(lexer, false);
    // `{ a except./* }`: here alone a word ends before a dot.
    if (length == 7 && memcmp(text, "except.", 7) == 0 && lexer->lookahead == '/') {
      text[6] = 0;
      *next = '.';
      return 6;
    }
    if (is_dash && lexer->lookahead == '>') {
      length--;
      text[length] = 0;
      *next = '-';
      return length;
    }
  }
  *next = lexer->lookahead;
  lexer->mark_end(lexer);
  text[length] = 0;
  return length;
}

// Passes over space and comments after the token. Returns whether there were any.
static bool skip_space(TSLexer *lexer) {
  bool found = false;
  while (is_space(lexer->lookahead) || lexer->lookahead == '#') {
    bool is_comment = lexer->lookahead == '#';
    found = true;
    do lexer->advance(lexer, false);
    while (is_comment && lexer->lookahead != '\n' && !lexer->eof(lexer));
  }
  return found;
}

static bool emit(TSLexer *lexer, int symbol) {
  lexer->result_symbol = (TSSymbol)symbol;
  return true;
}

// Reads the length of a prefix, and ends the token after it, unless it is the beginning of a longer word.
static bool read_prefix(TSLexer *lexer) {
  while (is_digit(lexer->lookahead)) lexer->advance(lexer, false);
  if (is_part(lexer->lookahead) && lexer->lookahead != '-') return false;
  lexer->mark_end(lexer);
  if (lexer->lookahead != '-') return true;
  lexer->advance(lexer, false);
  return lexer->lookahead == '>';
}

// Reads the rest of an IPv6 network without brackets, which has two colons and a prefix, after some colons.
static bool read_ipv6_network(TSLexer *lexer, int colons) {
  while (is_address_part(lexer->lookahead)) {
    colons += lexer->lookahead == ':';
    lexer->advance(lexer, false);
  }
  if (colons < 2 || lexer->lookahead != '/') return false;
  lexer->advance(lexer, false);
  if (!is_digit(lexer->lookahead)) return false;
  return read_prefix(lexer);
}

static int keyword_of(const char *text) {
  for (int at = 0; at < KEYWORD_COUNT; at++) {
    if (strcmp(text, KEYWORDS[at]) == 0) return at;
  }
  return -1;
}

void *tree_sitter_netpol_external_scanner_create(void) { return NULL; }
void tree_sitter_netpol_external_scanner_destroy(void *payload) { (void)payload; }
unsigned tree_sitter_netpol_external_scanner_serialize(void *payload, char *buffer) {
  (void)payload;
  (void)buffer;
  return 0;
}
void tree_sitter_netpol_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
  (void)payload;
  (void)buffer;
  (void)length;
}

bool tree_sitter_netpol_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
  (void)payload;
  // In recovery every symbol counts as valid, and a word is what it would be outside brackets.
  bool in_recovery = valid[IN_RECOVERY];
  bool touches = true;
  bool is_first_on_line = lexer->get_column(lexer) == 0;
  while (is_space(lexer->lookahead)) {
    touches = false;
    is_first_on_line |= lexer->lookahead == '\n';
    lexer->advance(lexer, true);
  }
  if (lexer->lookahead == ':' && valid[ADDRESS] && !in_recovery) {
    lexer->advance(lexer, false);
    return lexer->lookahead == ':' && read_ipv6_network(lexer, 1) && emit(lexer, ADDRESS);
  }
  if (!is_first(lexer->lookahead)) return false;

  char text[LONGEST];
  int32_t next;
  size_t length = read_word(lexer, text, &next);
  int keyword = keyword_of(text);
  bool has_dot = strchr(text, '.') != NULL;
  bool is_numeric = strspn(text, "0123456789.") == length;
  bool begins_statement = keyword >= 0 && keyword < STATEMENTS && is_first_on_line && next != '/' && next != ':';

  if (in_recovery) {
    if (begins_statement) return emit(lexer, keyword);
    if (next == '/' && !has_dot) return emit(lexer, NAMESPACE_NAME);
    return emit(lexer, keyword >= 0 ? STRAY : has_dot ? HOST_NAME : NAME);
  }
  if (touches && valid[TOUCHING_WORD]) return emit(lexer, TOUCHING_WORD);
  if (touches && valid[TOUCHING_PORT] && !has_dot) return emit(lexer, TOUCHING_PORT);
  if (valid[MODULE]) {
    while (is_part(lexer->lookahead) || lexer->lookahead == '/') lexer->advance(lexer, false);
    lexer->mark_end(lexer);
    return emit(lexer, MODULE);
  }
  if (begins_statement && !valid[INNER_WORD]) return emit(lexer, keyword);

  if (next == '/') {
    if (strcmp(text, ".") == 0) return emit(lexer, valid[OWN_NAMESPACE] ? OWN_NAMESPACE : STRAY);
    if (is_numeric && has_dot) {
      lexer->advance(lexer, false);
      if (valid[ADDRESS] && is_digit(lexer->lookahead) && read_prefix(lexer)) return emit(lexer, ADDRESS);
      return emit(lexer, valid[KEY_PREFIX] && !is_space(lexer->lookahead) ? KEY_PREFIX : STRAY);
    }
    if (valid[PORT_NAME] && !has_dot) {
      char protocol[LONGEST];
      size_t at = 0;
      lexer->advance(lexer, false);
      while (is_part(lexer->lookahead) && at < LONGEST - 1) {
        protocol[at++] = (char)lexer->lookahead;
        lexer->advance(lexer, false);
      }
      protocol[at] = 0;
      // `53/udp` may be a port among arguments, and `web/http` is pods there.
      if (!valid[NAMESPACE_NAME] || (strspn(text, "0123456789-") == length && is_protocol(protocol))) {
        return emit(lexer, PORT_NAME);
      }
    }
    if (has_dot) return emit(lexer, valid[KEY_PREFIX] ? KEY_PREFIX : STRAY);
    return emit(lexer, valid[NAMESPACE_NAME] ? NAMESPACE_NAME : STRAY);
  }
  if (next == ':' && valid[ADDRESS] && read_ipv6_network(lexer, 0)) return emit(lexer, ADDRESS);

  if (keyword >= 0 && valid[keyword]) {
    // `host` before a word, and `each` before braces: alone they are words.
    if (keyword != HOST && keyword != EACH) return emit(lexer, keyword);
    bool has_space = skip_space(lexer);
    int32_t after = lexer->lookahead;
    if (keyword == HOST ? after == '"' || (has_space && (is_first(after) || !valid[INNER_WORD])) : after == '{') {
      return emit(lexer, keyword);
    }
  }
  bool is_reserved = keyword >= 0 && keyword < RESERVED;
  if (valid[PORT_NAME] && !has_dot && (!valid[NAME] || strspn(text, "0123456789-") == length)) {
    return emit(lexer, PORT_NAME);
  }
  if (valid[NAME] && !has_dot && !is_digit(text[0]) && text[0] != '_' && !is_reserved) return emit(lexer, NAME);
  if (valid[ADDRESS] && is_numeric && has_dot) return emit(lexer, ADDRESS);
  if (valid[HOST_NAME] && has_dot && text[0] != '.' && !is_numeric) return emit(lexer, HOST_NAME);
  if (valid[INNER_WORD]) return emit(lexer, INNER_WORD);
  if (valid[METHOD] && text[0] >= 'A' && text[0] <= 'Z') return emit(lexer, METHOD);
  if (valid[WORD]) return emit(lexer, WORD);
  return emit(lexer, STRAY);
}
