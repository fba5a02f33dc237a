// The grammar's parser as a filter. Texts come on stdin, each behind its length in decimal and a line feed, and each gets a line:
// `good` or `bad` and the tree. Arguments are files of queries, each compiled first and run over every text.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree_sitter/api.h"

const TSLanguage *tree_sitter_netpol(void);

static TSQuery *query_of(const char *path) {
  static char text[1 << 16];
  FILE *file = fopen(path, "rb");
  if (!file) exit(2);
  size_t length = fread(text, 1, sizeof text, file);
  fclose(file);
  uint32_t at;
  TSQueryError error;
  TSQuery *query = ts_query_new(tree_sitter_netpol(), text, (uint32_t)length, &at, &error);
  if (!query) {
    fprintf(stderr, "%s: error %d at byte %u: %.60s\n", path, error, at, text + at);
    exit(2);
  }
  return query;
}

int main(int count, char **paths) {
  TSQuery *queries[16];
  for (int at = 1; at < count && at < 16; at++) queries[at] = query_of(paths[at]);
  TSParser *parser = ts_parser_new();
  if (!ts_parser_set_language(parser, tree_sitter_netpol())) return 2;
  size_t length;
  while (scanf("%zu", &length) == 1) {
    getchar();
    char *text = malloc(length + 1);
    if (fread(text, 1, length, stdin) != length) return 2;
    TSTree *tree = ts_parser_parse_string(parser, NULL, text, (uint32_t)length);
    TSNode root = ts_tree_root_node(tree);
    char *shape = ts_node_string(root);
    printf("%s %s", ts_node_has_error(root) ? "bad" : "good", shape);
    // What each query captures: its number, the capture and the text.
    for (int at = 1; at < count && at < 16; at++) {
      TSQueryCursor *cursor = ts_query_cursor_new();
      ts_query_cursor_exec(cursor, queries[at], root);
      TSQueryMatch match;
      uint32_t index;
      while (ts_query_cursor_next_capture(cursor, &match, &index)) {
        TSQueryCapture capture = match.captures[index];
        uint32_t size;
        const char *name = ts_query_capture_name_for_id(queries[at], capture.index, &size);
        printf("\t%d %.*s %u %u", at, (int)size, name, ts_node_start_byte(capture.node), ts_node_end_byte(capture.node));
      }
      ts_query_cursor_delete(cursor);
    }
    putchar('\n');
    free(shape);
    free(text);
    ts_tree_delete(tree);
  }
  return 0;
}
