/* One fuzz target of the C runtime, chosen by -DTARGET_<NAME>; the sanitizers find what is wrong with memory, `must` what is
 * wrong with the answer. Built with libFuzzer (clang), or with `main` below, which makes inputs of its own at random.
 *
 * Every run starts from an empty heap whose blocks are each a malloc of their own, so that an overrun is seen.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt.h"

#define HEAP_MAX ((size_t)16 << 20)

static void **blocks;
static size_t used, room, total;
static jmp_buf escape;

void *rt_native_alloc(size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void *rt_native_alloc(size_t size) {
    total += size + 16;
    if (size > HEAP_MAX || total > HEAP_MAX) return 0;
    if (used == room) {
        room = room ? room * 2 : 1024;
        blocks = realloc(blocks, room * sizeof *blocks);
    }
    return blocks[used++] = malloc(size ? size : 1);
}

void opa_abort(const char *text) {
    /* The runtime itself says that it is broken. */
    if (strncmp(text, "eval_internal_error", 19) == 0) {
        fprintf(stderr, "%s\n", text);
        abort();
    }
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

#define must(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* ---- bytes to values: any input is one, so that every mutation counts ---- */

typedef struct {
    const uint8_t *at, *end;
    unsigned values; /* left to make */
} source;

static unsigned byte(source *s) { return s->at < s->end ? *s->at++ : 0; }

static const char *const words[] = {
#include "words.h"
};
#define WORDS (sizeof words / sizeof *words)

static const char *const numbers[] = {
    "0", "-0", "1", "-1", "0.1", "1.0", "1e2", "-2.5e-3", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    "18446744073709551616", "340282366920938463463374607431768211456", "1e19", "1e-19", "4294967296", "2147483648", "-2147483649",
    "0.30000000000000000000000000000001", "123456789012345678901234567890.123456789", "1e400", "1e20001", "1e999999999999", "63",
    "64", "65", "1024", "1000000", "3.999999999999999999999", "1e-400", "99999999999999999999", "10", "3", "1.5", "255", "256"};
#define NUMBERS (sizeof numbers / sizeof *numbers)

/* No UTF-8: no start, a letter that is cut off, overlong forms, surrogates, beyond U+10FFFF. */
static const char *const broken[] = {"\xFF", "\x80", "\xE6\x97", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xED\xB0\x80",
                                     "\xF0\x9F\x98", "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80"};
#define BROKEN (sizeof broken / sizeof *broken)

static rt_v text(source *s) {
    unsigned kind = byte(s);
    if (kind < 140) return rt_string_c(words[byte(s) % WORDS]);
    if (kind < 170) { /* such bytes within and around a word */
        const char *word = words[byte(s) % WORDS];
        size_t cut = byte(s) % (strlen(word) + 1);
        rt_sb sb;
        rt_sb_init(&sb, 0);
        rt_sb_bytes(&sb, word, cut);
        rt_sb_text(&sb, broken[byte(s) % BROKEN]);
        rt_sb_text(&sb, word + cut);
        if (kind & 1) rt_sb_text(&sb, broken[byte(s) % BROKEN]);
        return rt_sb_string(&sb);
    }
    size_t len = kind < 240 ? kind % 12 : byte(s) * (kind % 5u + 1u);
    char *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++) bytes[i] = (char)byte(s);
    rt_v v = rt_string(bytes, len);
    free(bytes);
    return v;
}

static rt_v number(source *s) {
    unsigned kind = byte(s);
    if (kind < 100) return rt_int((int64_t)(kind % 20) - 4);
    if (kind < 220) {
        const char *digits = numbers[byte(s) % NUMBERS];
        return rt_num_from_text(digits, strlen(digits));
    }
    if (kind < 235) {
        uint64_t value = 0;
        for (int i = 0; i < 8; i++) value = value << 8 | byte(s);
        return rt_int((int64_t)value);
    }
    char digits[64];
    size_t len = 0, want = byte(s) % 60 + 1;
    digits[len++] = '1';
    while (len < want) digits[len++] = (char)('0' + byte(s) % 10);
    return rt_num_from_text(digits, len);
}

static rt_v any(source *s, int depth) {
    if (s->values) s->values--;
    unsigned kind = byte(s) % (depth > 6 || !s->values ? 6 : 12);
    switch (kind) {
    case 0: return rt_null();
    case 1: return rt_bool(byte(s) & 1);
    case 2:
    case 3: return number(s);
    case 4:
    case 5: return text(s);
    default: break;
    }
    unsigned count = byte(s) % 12;
    if (count == 11) count = byte(s);
    rt_v v = kind < 8 ? rt_array(0) : kind < 10 ? rt_object(0) : rt_set(0);
    for (unsigned i = 0; i < count && s->values; i++) {
        rt_v item = any(s, depth + 1);
        if (kind < 8)
            rt_array_push(v, item);
        else if (kind < 10)
            rt_object_put(v, item, any(s, depth + 1));
        else
            rt_set_put(v, item);
    }
    return v;
}

/* A value of a type text: n s b z * , [x] array, {x} set, <kv> object, (xy) one of them. Now and then any other value. */
static const char *skip(const char *type) {
    static const char open[] = "[{<(", closed[] = "]}>)";
    const char *o = strchr(open, *type);
    if (!*type || !o) return type + (*type != 0);
    int level = 0;
    char begin = *o, end = closed[o - open];
    do {
        level += *type == begin ? 1 : *type == end ? -1 : 0;
        type++;
    } while (level);
    return type;
}

static rt_v typed(source *s, const char *type, int depth) {
    if (byte(s) % 16 == 1) return any(s, depth);
    if (s->values) s->values--;
    unsigned count = s->values && depth < 8 ? byte(s) % 7 : 0;
    if (count == 6) count = byte(s) % 64;
    switch (*type) {
    case 'n': return number(s);
    case 's': return text(s);
    case 'b': return rt_bool(byte(s) & 1);
    case 'z': return rt_null();
    case '[': {
        rt_v v = rt_array(0);
        for (unsigned i = 0; i < count; i++) rt_array_push(v, typed(s, type + 1, depth + 1));
        return v;
    }
    case '{': {
        rt_v v = rt_set(0);
        for (unsigned i = 0; i < count; i++) rt_set_put(v, typed(s, type + 1, depth + 1));
        return v;
    }
    case '<': {
        rt_v v = rt_object(0);
        for (unsigned i = 0; i < count; i++) {
            rt_v key = typed(s, type + 1, depth + 1);
            rt_object_put(v, key, typed(s, skip(type + 1), depth + 1));
        }
        return v;
    }
    case '(': {
        const char *choice = type + 1;
        unsigned options = 0;
        for (const char *t = choice; *t != ')'; t = skip(t)) options++;
        for (unsigned i = options ? byte(s) % options : 0; i > 0; i--) choice = skip(choice);
        return typed(s, choice, depth);
    }
    default: return any(s, depth);
    }
}

/* ---- oracles ---- */

static rt_v written(rt_v v, int flags) {
    rt_sb sb;
    rt_sb_init(&sb, 16);
    rt_sb_json(&sb, v, flags);
    return rt_sb_string(&sb);
}

static bool is_utf8(rt_v text) { return rt_utf8_valid(rt_str(text), rt_str(text) + rt_str_len(text)); }

/* What every value must do: equal itself, hash alike when equal, be written as text that reads back as it; and every text that is
 * written must be UTF-8. */
static void check_value(rt_v v) {
    const int host = RT_JSON_VALUE | RT_JSON_BYTES;
    rt_v out = written(v, host);
    rt_v again = rt_json_read(rt_str(out), rt_str_len(out), host);
    must(again);
    must(rt_compare(v, again) == 0 && rt_equal(v, again) && rt_hash(v) == rt_hash(again));
    rt_v twice = written(again, host);
    must(rt_equal(out, twice));
    out = written(v, RT_JSON_VALUE);
    rt_v json = written(v, RT_JSON_PLAIN), html = written(v, RT_JSON_HTML);
    must(is_utf8(out) && is_utf8(twice) && is_utf8(json) && is_utf8(html));
    rt_v plain = rt_json_read(rt_str(json), rt_str_len(json), RT_JSON_PLAIN);
    rt_v escaped = rt_json_read(rt_str(html), rt_str_len(html), RT_JSON_PLAIN);
    must(plain && escaped);
    if (rt_equal(out, json)) must(rt_equal(plain, escaped)); /* else keys that are text of text, escaped twice as in Go */
}

static void check_order(rt_v a, rt_v b, rt_v c) {
    int ab = rt_compare(a, b), ba = rt_compare(b, a), bc = rt_compare(b, c), ac = rt_compare(a, c);
    must(ab == -ba);
    must((ab == 0) == (rt_equal(a, b) != 0));
    if (ab == 0) must(rt_hash(a) == rt_hash(b));
    if (ab <= 0 && bc <= 0) must(ac <= 0);
    if (ab >= 0 && bc >= 0) must(ac >= 0);
}

/* ---- targets ---- */

#if defined TARGET_JSON
static void run(const uint8_t *data, size_t size) {
    char *copy = rt_native_alloc(size); /* of its very size */
    if (!copy) return;
    memcpy(copy, data, size);
    for (int flags = 0; flags <= RT_JSON_VALUE; flags += RT_JSON_VALUE) {
        rt_v v = rt_json_read(copy, size, flags);
        if (v) check_value(v);
    }
}

#elif defined TARGET_VALUES
static void run(const uint8_t *data, size_t size) {
    source s = {data, data + size, 400};
    rt_v a = any(&s, 0), b = any(&s, 0), c = any(&s, 0);
    check_order(a, b, c);
    check_order(b, a, a);
    check_value(a);
    rt_v set = rt_set(0), object = rt_object(0);
    for (int i = 0; i < 40 && s.at < s.end; i++) {
        rt_v item = any(&s, 3);
        rt_set_put(set, item);
        rt_object_put(object, item, rt_int(i));
        must(rt_set_get(set, item) && rt_equal(rt_set_get(set, item), item));
        must(rt_equal(rt_object_get(object, item), rt_int(i)));
        if (i % 8 == 5) rt_sorted(set);
        if (i % 11 == 7) {
            rt_object_remove(object, item);
            must(!rt_object_get(object, item));
        }
    }
    rt_sorted(set);
    for (uint32_t i = 1; i < rt_table_len(set); i++) must(rt_compare(rt_set_at(set, i - 1), rt_set_at(set, i)) < 0);
    for (uint32_t i = 0; i < rt_table_len(set); i++) must(rt_set_get(set, rt_set_at(set, i)) == rt_set_at(set, i));
    check_value(set);
    check_value(object);
    if (rt_tag(a) == RT_OBJECT && rt_tag(b) == RT_OBJECT) check_value(rt_object_merge(a, b));
    rt_v path = rt_array(0);
    for (int i = 0; i < 3; i++) rt_array_push(path, any(&s, 6));
    rt_v with = rt_with(a, path, c);
    rt_v found = with;
    for (uint32_t i = 0; i < 3 && found; i++) found = rt_get(found, rt_array_at(path, i));
    must(found && rt_equal(found, c));
}

#elif defined TARGET_NUMBERS
static void run(const uint8_t *data, size_t size) {
    source s = {data, data + size, 100};
    rt_v a = number(&s), b = number(&s), c = number(&s);
    check_order(a, b, c);
    check_value(a);
    rt_v sum = rt_num_add(a, b), difference = rt_num_sub(a, b), product = rt_num_mul(a, b);
    must(rt_equal(sum, rt_num_add(b, a)) && rt_equal(product, rt_num_mul(b, a)));
    bool exact = rt_num_is_integer(a) && rt_num_is_integer(b);
    int order = rt_num_compare(difference, rt_int(0));
    must(order == rt_num_compare(a, b) || (order == 0 && !exact));
    check_value(sum);
    check_value(product);
    if (exact) {
        must(rt_equal(rt_num_sub(sum, b), a));
        rt_v quotient = rt_num_div(a, b);
        must((quotient == 0) == (rt_num_sign(b) == 0));
        if (quotient) {
            check_value(quotient);
            must(rt_equal(rt_num_div(product, b), a));
            rt_v rest = rt_num_rem(a, b);
            must(rest && rt_num_compare(rt_num_abs(rest), rt_num_abs(b)) < 0);
            must(rt_num_sign(rest) == 0 || rt_num_sign(rest) == rt_num_sign(a));
            must(rt_num_is_integer(rt_num_div(rt_num_sub(a, rest), b)));
        }
        rt_big x, y;
        if (rt_big_from_num(&x, a) && rt_big_from_num(&y, b)) {
            rt_big shifted = rt_big_shl(&x, byte(&s));
            check_value(rt_big_to_num(&shifted));
        }
    }
    rt_v floor = rt_num_floor(a), ceil = rt_num_ceil(a);
    must(rt_num_compare(floor, a) <= 0 && rt_num_compare(a, ceil) <= 0);
    must(rt_num_is_integer(floor) && rt_num_is_integer(ceil) && rt_num_is_integer(rt_num_round(a)));
    if (rt_num_is_integer(a)) must(rt_equal(rt_num_neg(rt_num_neg(a)), a)); /* others are rounded */
    int64_t small;
    if (rt_num_to_int(a, &small)) must(rt_equal(rt_int(small), a));
    double approximate = rt_num_to_double(a);
    if (approximate - approximate == 0) { /* finite */
        rt_v back = rt_num_from_double(approximate);
        must(rt_num_to_double(back) == approximate);
    }
}

#else /* TARGET_BUILTINS */
#include "builtins.h"

static void run(const uint8_t *data, size_t size) {
    source s = {data, data + size, 600};
    const struct builtin *b = &builtins[(byte(&s) | byte(&s) << 8) % (sizeof builtins / sizeof *builtins)];
    rt_strict = (int32_t)(byte(&s) & 1);
    rt_v args[5];
    for (int i = 0; i < b->arity; i++) args[i] = typed(&s, b->types[i], 0);
    rt_v found = 0;
    switch (b->arity) {
    case 0: found = b->run.f0(); break;
    case 1: found = b->run.f1(args[0]); break;
    case 2: found = b->run.f2(args[0], args[1]); break;
    case 3: found = b->run.f3(args[0], args[1], args[2]); break;
    case 4: found = b->run.f4(args[0], args[1], args[2], args[3]); break;
    default: found = b->run.f5(args[0], args[1], args[2], args[3], args[4]); break;
    }
    if (found) check_value(found);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
#if !defined TARGET_JSON && !defined TARGET_VALUES && !defined TARGET_NUMBERS
    rt_regex_table = regexes, rt_regex_count = REGEXES;
    rt_glob_table = globs, rt_glob_count = GLOBS;
    if (!regexes[0].key) make_keys();
    rt_heap_resets++; /* what a builtin keeps between calls is void */
#endif
    if (setjmp(escape) == 0) run(data, size);
    while (used) free(blocks[--used]);
    total = 0;
    return 0;
}

#ifdef OWN_MAIN
static uint64_t state;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* fuzz FILE...: check these; fuzz -runs=N -seed=S: N inputs at random. */
int main(int argc, char **argv) {
    unsigned long runs = 0;
    state = 88172645463325252u;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs=", 6) == 0) {
            runs = strtoul(argv[i] + 6, 0, 10);
        } else if (strncmp(argv[i], "-seed=", 6) == 0) {
            state ^= strtoul(argv[i] + 6, 0, 10) * 0x9E3779B97F4A7C15u;
        } else if (argv[i][0] != '-') {
            FILE *f = fopen(argv[i], "rb");
            if (!f) continue;
            static uint8_t file[1 << 20];
            size_t n = fread(file, 1, sizeof file, f);
            fclose(f);
            uint8_t *copy = malloc(n ? n : 1);
            memcpy(copy, file, n);
            LLVMFuzzerTestOneInput(copy, n);
            free(copy);
        }
    }
    for (unsigned long i = 0; i < runs; i++) {
        size_t n = next() % 7 ? next() % 200 : next() % 3000;
        uint8_t *data = malloc(n ? n : 1);
        static const char alphabet[] = "{}[]\",:0123456789.eE+-truefalsnil \\u{}[]\"\"";
        for (size_t k = 0; k < n; k++)
            data[k] = (uint8_t)(next() % 4 ? alphabet[next() % (sizeof alphabet - 1)] : (char)next());
        LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    return 0;
}
#endif
