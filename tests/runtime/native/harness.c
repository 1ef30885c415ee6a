/* Runs the runtime's C natively under the sanitizers: one command a line on stdin, one answer a line on stdout.
 *
 * A line is a command word and arguments in hex, separated by blanks; the answer is plain text. Each command starts from an empty heap,
 * every block of which is a malloc of its own, so that the sanitizer sees overruns. `abort <message>` answers a command
 * that ended in opa_abort.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt.h"

static void **blocks;
static size_t used, room;
static jmp_buf escape;
static char message[8192];

void *rt_native_alloc(size_t size);

void *rt_native_alloc(size_t size) {
    if (size > (size_t)64 << 20) return 0;
    if (used == room) {
        room = room ? room * 2 : 1024;
        blocks = realloc(blocks, room * sizeof *blocks);
    }
    return blocks[used++] = malloc(size ? size : 1);
}

void opa_abort(const char *text) {
    snprintf(message, sizeof message, "%s", text);
    longjmp(escape, 1);
}

void opa_println(const char *text) { (void)text; }
rt_v opa_builtin0(int32_t id, void *ctx) { return (void)id, (void)ctx, NULL; }
rt_v opa_builtin1(int32_t id, void *ctx, rt_v a) { return (void)id, (void)ctx, (void)a, NULL; }
rt_v opa_builtin2(int32_t id, void *ctx, rt_v a, rt_v b) { return (void)id, (void)ctx, (void)a, (void)b, NULL; }
rt_v opa_builtin3(int32_t id, void *ctx, rt_v a, rt_v b, rt_v c) {
    return (void)id, (void)ctx, (void)a, (void)b, (void)c, NULL;
}
rt_v opa_builtin4(int32_t id, void *ctx, rt_v a, rt_v b, rt_v c, rt_v d) {
    return (void)id, (void)ctx, (void)a, (void)b, (void)c, (void)d, NULL;
}

/* The argument as bytes of exactly its size, so that reading one byte too many is seen. */
static char *argument(const char *hex, size_t *len) {
    *len = hex ? strlen(hex) / 2 : 0;
    char *bytes = rt_native_alloc(*len);
    for (size_t i = 0; i < *len; i++) {
        unsigned value = 0;
        sscanf(hex + 2 * i, "%2x", &value);
        bytes[i] = (char)value;
    }
    return bytes;
}

static rt_v value_of(const char *hex) {
    size_t len;
    char *bytes = argument(hex, &len);
    return rt_json_read(bytes, len, RT_JSON_VALUE);
}

static void show(rt_v v, int flags) {
    if (!v) {
        printf("undefined\n");
        return;
    }
    rt_sb sb;
    rt_sb_init(&sb, 16);
    rt_sb_json(&sb, v, flags);
    rt_v text = rt_sb_string(&sb);
    printf("%.*s\n", (int)rt_str_len(text), rt_str(text));
}

typedef rt_v (*binary_op)(rt_v, rt_v);
typedef rt_v (*unary_op)(rt_v);

static const struct {
    const char *name;
    binary_op run;
} binary_ops[] = {{"add", rt_num_add}, {"sub", rt_num_sub},         {"mul", rt_num_mul}, {"div", rt_num_div},
                  {"rem", rt_num_rem}, {"merge", rt_object_merge}, {"get", rt_get}};

static const struct {
    const char *name;
    unary_op run;
} unary_ops[] = {
    {"neg", rt_num_neg}, {"abs", rt_num_abs}, {"floor", rt_num_floor}, {"ceil", rt_num_ceil}, {"round", rt_num_round}};

static void other(const char *word, const char *a, const char *b, const char *c) {
    for (size_t i = 0; i < sizeof binary_ops / sizeof *binary_ops; i++)
        if (strcmp(word, binary_ops[i].name) == 0) {
            show(binary_ops[i].run(value_of(a), value_of(b)), RT_JSON_VALUE);
            return;
        }
    for (size_t i = 0; i < sizeof unary_ops / sizeof *unary_ops; i++)
        if (strcmp(word, unary_ops[i].name) == 0) {
            show(unary_ops[i].run(value_of(a)), RT_JSON_VALUE);
            return;
        }
    if (strcmp(word, "with") == 0)
        show(rt_with(value_of(a), value_of(b), value_of(c)), RT_JSON_VALUE);
    else
        printf("unknown command\n");
}

static void run(const char *word, const char *a, const char *b, const char *c) {
    size_t len, more;
    if (strcmp(word, "json") == 0) {
        char *text = argument(a, &len);
        show(rt_json_read(text, len, RT_JSON_PLAIN), RT_JSON_PLAIN);
    } else if (strcmp(word, "html") == 0) {
        char *text = argument(a, &len);
        show(rt_json_read(text, len, RT_JSON_PLAIN), RT_JSON_HTML);
    } else if (strcmp(word, "value") == 0) {
        show(value_of(a), RT_JSON_VALUE);
    } else if (strcmp(word, "compare") == 0) {
        rt_v x = value_of(a), y = value_of(b);
        printf("%d %d %d\n", rt_compare(x, y), rt_equal(x, y), rt_hash(x) == rt_hash(y));
    } else if (strcmp(word, "double") == 0) {
        double number = rt_num_to_double(value_of(a));
        printf("%.17g\n", number);
    } else if (strcmp(word, "from_double") == 0) {
        char *text = argument(a, &len);
        char copy[64] = {0};
        memcpy(copy, text, len < 63 ? len : 63);
        show(rt_num_from_double(strtod(copy, NULL)), RT_JSON_PLAIN);
    } else if (strcmp(word, "find") == 0) {
        char *hay = argument(a, &len), *needle = argument(b, &more);
        size_t at = rt_find(hay, len, 0, needle, more);
        printf("%ld\n", at == SIZE_MAX ? -1L : (long)at);
    } else {
        other(word, a, b, c);
    }
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *word = strtok(line, " "), *a = strtok(NULL, " "), *b = strtok(NULL, " "), *c = strtok(NULL, " ");
        if (!word) continue;
        if (setjmp(escape) == 0)
            run(word, a, b, c);
        else
            printf("abort %s\n", message);
        while (used) free(blocks[--used]);
    }
    free(blocks);
    free(line);
    return 0;
}
