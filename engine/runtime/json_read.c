/* Reads JSON and OPA's value text. Strict: one value, nothing behind it; a text that is not that gives 0.
 *
 * Recursion is counted (RT_JSON_DEPTH_MAX). Bytes that are not UTF-8 and lone surrogates become U+FFFD, a repeated key takes
 * the last value, numbers keep their text: as Go's decoder does it for OPA.
 */
#include "table.h"

typedef uint64_t __attribute__((may_alias, aligned(1))) word64;

typedef struct {
    const char *at, *end;
    bool values; /* value text: sets, and keys of any type */
    bool bytes;  /* \udcXX is the byte XX */
    int depth;
    rt_v *stack; /* items of the collections that are open */
    size_t used, cap;
} reader;

static rt_v read_value(reader *r);

static void push(reader *r, rt_v v) {
    if (RT_UNLIKELY(r->used == r->cap)) {
        size_t bytes = r->cap * sizeof *r->stack;
        if (bytes > SIZE_MAX / 4) rt_abort(RT_ERR_MEMORY, "an input is too large");
        r->stack = rt_realloc(r->stack, bytes, bytes * 2);
        r->cap *= 2;
    }
    r->stack[r->used++] = v;
}

static inline void skip_space(reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool take(reader *r, char c) {
    if (r->at >= r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool take_word(reader *r, const char *word, size_t len) {
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return false;
    r->at += len;
    return true;
}

/* High bit of each byte that ends the quick scan: quote, backslash, control, or not ASCII. */
static inline uint64_t special(uint64_t w) {
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
    return ((quote - ones) | (slash - ones) | (w - ones * 0x20) | w) & highs;
}

static int hex4(const char *at) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)at[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* Behind `\u`: one code point, two escapes when they are a surrogate pair. */
static bool read_escape_u(reader *r, rt_sb *sb) {
    if (r->end - r->at < 4) return false;
    int unit = hex4(r->at);
    if (unit < 0) return false;
    r->at += 4;
    if (unit >= 0xD800 && unit < 0xDC00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        int low = hex4(r->at + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            r->at += 6;
            rt_sb_rune(sb, 0x10000 + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
            return true;
        }
    }
    if (r->bytes && unit >= 0xDC80 && unit <= 0xDCFF)
        rt_sb_byte(sb, (char)(unit & 0xFF));
    else
        rt_sb_rune(sb, (uint32_t)unit);
    return true;
}

static bool read_escape(reader *r, rt_sb *sb) {
    if (r->at >= r->end) return false;
    char c = *r->at++;
    switch (c) {
    case '"':
    case '\\':
    case '/': break;
    case 'b': c = '\b'; break;
    case 'f': c = '\f'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'u': return read_escape_u(r, sb);
    default: return false;
    }
    rt_sb_byte(sb, c);
    return true;
}

/* A string with escapes or bytes above ASCII; `from` is its first byte, r->at the first special one. */
static rt_v read_string_slow(reader *r, const char *from) {
    rt_sb sb;
    rt_sb_init(&sb, (size_t)(r->at - from) + 32);
    rt_sb_bytes(&sb, from, (size_t)(r->at - from));
    while (r->at < r->end) {
        const char *plain = r->at;
        while (r->at < r->end && (unsigned char)*r->at >= 0x20 && (unsigned char)*r->at < 0x80 && *r->at != '"' &&
               *r->at != '\\')
            r->at++;
        rt_sb_bytes(&sb, plain, (size_t)(r->at - plain));
        if (r->at >= r->end) return 0;
        char c = *r->at;
        if (c == '"') {
            r->at++;
            return rt_sb_string(&sb);
        }
        if (c == '\\') {
            r->at++;
            if (!read_escape(r, &sb)) return 0;
        } else if ((unsigned char)c < 0x20) {
            return 0;
        } else {
            rt_sb_rune(&sb, rt_utf8_next(&r->at, r->end));
        }
    }
    return 0;
}

/* Behind the opening quote. */
static rt_v read_string(reader *r) {
    const char *from = r->at, *at = from;
    for (;;) {
        if (RT_UNLIKELY(r->end - at < 8)) {
            while (at < r->end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
                at++;
            break;
        }
        uint64_t hits = special(*(const word64 *)at);
        if (hits) {
            at += __builtin_ctzll(hits) / 8;
            break;
        }
        at += 8;
    }
    r->at = at;
    if (RT_LIKELY(at < r->end && *at == '"')) {
        r->at = at + 1;
        return rt_string(from, (size_t)(at - from));
    }
    return read_string_slow(r, from);
}

static rt_v read_number(reader *r) {
    const char *from = r->at, *at = from;
    bool negative = *at == '-';
    at += negative;
    const char *digits = at;
    int64_t value = 0;
    while (at < r->end && (unsigned)(*at - '0') < 10 && at - digits < 18) value = value * 10 + (*at++ - '0');
    char next = at < r->end ? *at : ' ';
    bool more = next == '.' || next == 'e' || next == 'E' || (unsigned)(next - '0') < 10;
    if (RT_LIKELY(at > digits && !more && (*digits != '0' || (at - digits == 1 && !negative)))) {
        r->at = at;
        return rt_int(negative ? -value : value);
    }
    while (at < r->end && ((unsigned)(*at - '0') < 10 || *at == '.' || *at == 'e' || *at == 'E' || *at == '+' || *at == '-'))
        at++;
    r->at = at;
    return rt_num_from_text(from, (size_t)(at - from));
}

static rt_v read_array(reader *r) {
    size_t base = r->used;
    skip_space(r);
    if (!take(r, ']')) {
        do {
            rt_v item = read_value(r);
            if (!item) return 0;
            push(r, item);
            skip_space(r);
        } while (take(r, ','));
        if (!take(r, ']')) return 0;
    }
    size_t count = r->used - base;
    if (count > INT32_MAX) rt_abort(RT_ERR_MEMORY, "an input is too large");
    rt_v array = rt_array((int32_t)count);
    rt_array_value *a = (rt_array_value *)(void *)array;
    for (size_t i = 0; i < count; i++) a->items[i] = r->stack[base + i];
    a->len = (uint32_t)count;
    r->used = base;
    return array;
}

/* What stands from `base` on the stack, as an object (pairs) or a set. */
static rt_v close_table(reader *r, size_t base, uint8_t tag) {
    size_t words = r->used - base, stride = tag == RT_OBJECT ? 2 : 1;
    rt_table *t = table_new(tag, words / stride);
    for (size_t i = base; i < base + words; i += stride) {
        bool added;
        uint32_t entry = table_insert(t, r->stack[i], &added);
        if (stride == 2) t->items[2 * (size_t)entry + 1] = r->stack[i + 1];
    }
    r->used = base;
    return &t->head;
}

static bool read_member_value(reader *r) {
    rt_v value = read_value(r);
    if (!value) return false;
    push(r, value);
    skip_space(r);
    return true;
}

static rt_v read_object(reader *r) {
    size_t base = r->used;
    skip_space(r);
    if (take(r, '}')) return close_table(r, base, RT_OBJECT);
    do {
        skip_space(r);
        if (!take(r, '"')) return 0;
        rt_v key = read_string(r);
        if (!key) return 0;
        push(r, key);
        skip_space(r);
        if (!take(r, ':') || !read_member_value(r)) return 0;
    } while (take(r, ','));
    return take(r, '}') ? close_table(r, base, RT_OBJECT) : 0;
}

/* Value text: the first key tells an object from a set. */
static rt_v read_braces(reader *r) {
    size_t base = r->used;
    uint8_t tag = RT_OBJECT;
    skip_space(r);
    if (take(r, '}')) return close_table(r, base, tag);
    for (bool first = true;; first = false) {
        if (!read_member_value(r)) return 0;
        if (first && (r->at >= r->end || *r->at != ':')) tag = RT_SET;
        if (tag == RT_OBJECT && (!take(r, ':') || !read_member_value(r))) return 0;
        if (take(r, ',')) continue;
        return take(r, '}') ? close_table(r, base, tag) : 0;
    }
}

static rt_v read_open(reader *r, char c) {
    if (r->depth >= RT_JSON_DEPTH_MAX) return 0;
    r->depth++;
    rt_v v = c == '[' ? read_array(r) : r->values ? read_braces(r) : read_object(r);
    r->depth--;
    return v;
}

static rt_v read_value(reader *r) {
    skip_space(r);
    if (r->at >= r->end) return 0;
    char c = *r->at;
    switch (c) {
    case '"':
        r->at++;
        return read_string(r);
    case '{':
    case '[':
        r->at++;
        return read_open(r, c);
    case 't': return take_word(r, "true", 4) ? rt_bool(1) : 0;
    case 'f': return take_word(r, "false", 5) ? rt_bool(0) : 0;
    case 'n': return take_word(r, "null", 4) ? rt_null() : 0;
    case 's': return r->values && take_word(r, "set()", 5) ? rt_set(0) : 0;
    default: return c == '-' || (unsigned)(c - '0') < 10 ? read_number(r) : 0;
    }
}

rt_v rt_json_read(const char *text, size_t len, int flags) {
    reader r = {.at = text, .end = text + len, .cap = 64};
    r.values = (flags & RT_JSON_VALUE) != 0;
    r.bytes = (flags & RT_JSON_BYTES) != 0;
    r.stack = rt_alloc_array(r.cap, sizeof *r.stack);
    rt_v value = read_value(&r);
    if (!value) return 0;
    skip_space(&r);
    return r.at == r.end ? value : 0;
}
