/* Writes JSON and OPA's value text; keys and elements in Rego order, so that equal values give equal bytes.
 *
 * In JSON a set is an array, and a key that is no string is replaced by its own JSON text. A byte that is not UTF-8 is escaped,
 * so that every text is; keys that differ in such bytes only are then written more than once, in their order, as OPA does:
 * readers take the last. Recursion is counted.
 */
#include "table.h"

static const char hex_digits[] = "0123456789abcdef";

static void put_escape(rt_sb *sb, uint32_t unit) {
    char text[6] = {'\\', 'u', hex_digits[unit >> 12 & 15], hex_digits[unit >> 8 & 15], hex_digits[unit >> 4 & 15],
                    hex_digits[unit & 15]};
    rt_sb_bytes(sb, text, sizeof text);
}

static bool is_plain(unsigned char c, bool html) {
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') return false;
    return !html || (c != '<' && c != '>' && c != '&');
}

typedef uint64_t __attribute__((may_alias, aligned(1))) word64;

/* High bit of each byte that may need an escape; exact up to the first one, which is all that is asked. */
static uint64_t special(uint64_t w, bool html) {
    const uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';
    uint64_t hits = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w) | w;
    if (html) {
        uint64_t less = w ^ ones * '<', more = w ^ ones * '>', and = w ^ ones * '&';
        hits |= ((less - ones) & ~less) | ((more - ones) & ~more) | ((and - ones) & ~and);
    }
    return hits & highs;
}

/* First byte at or after i that needs a closer look. */
static size_t skip_plain(const char *bytes, size_t i, size_t len, bool html) {
    for (; len - i >= 8; i += 8) {
        uint64_t hits = special(*(const word64 *)(bytes + i), html);
        if (hits) {
            i += (size_t)__builtin_ctzll(hits) / 8;
            break;
        }
    }
    while (i < len && is_plain((unsigned char)bytes[i], html)) i++;
    return i;
}

static void put_special(rt_sb *sb, char c) {
    switch (c) {
    case '"': rt_sb_bytes(sb, "\\\"", 2); return;
    case '\\': rt_sb_bytes(sb, "\\\\", 2); return;
    case '\b': rt_sb_bytes(sb, "\\b", 2); return;
    case '\f': rt_sb_bytes(sb, "\\f", 2); return;
    case '\n': rt_sb_bytes(sb, "\\n", 2); return;
    case '\r': rt_sb_bytes(sb, "\\r", 2); return;
    case '\t': rt_sb_bytes(sb, "\\t", 2); return;
    default: put_escape(sb, (unsigned char)c); return;
    }
}

/* The code unit that stands for a letter above ASCII when it is not written as it is, else 0. */
static uint32_t escape_of(uint32_t rune, size_t width, unsigned char first, int flags) {
    if (rune == 0xFFFD && width == 1) return flags & RT_JSON_BYTES ? 0xDC00u | first : 0xFFFD;
    return flags & RT_JSON_HTML && (rune == 0x2028 || rune == 0x2029) ? rune : 0;
}

void rt_sb_json_string(rt_sb *sb, const char *bytes, size_t len, int flags) {
    bool html = (flags & RT_JSON_HTML) != 0;
    rt_sb_reserve(sb, len + 2);
    rt_sb_byte(sb, '"');
    size_t from = 0; /* what stands from here on is not written yet */
    for (size_t i = 0; (i = skip_plain(bytes, i, len, html)) < len;) {
        const char *at = bytes + i;
        unsigned char first = (unsigned char)*at;
        uint32_t escape = 0;
        size_t width = 1;
        if (first >= 0x80) {
            uint32_t rune = rt_utf8_next(&at, bytes + len);
            width = (size_t)(at - bytes) - i;
            escape = escape_of(rune, width, first, flags);
            if (!escape) {
                i += width;
                continue;
            }
        }
        rt_sb_bytes(sb, bytes + from, i - from);
        if (escape)
            put_escape(sb, escape);
        else
            put_special(sb, (char)first);
        from = i += width;
    }
    rt_sb_bytes(sb, bytes + from, len - from);
    rt_sb_byte(sb, '"');
}

static void write(rt_sb *sb, rt_v v, int flags, int depth);

static bool has_string_keys(const rt_table *t) {
    for (size_t i = 0; i < t->len; i++)
        if (t->items[2 * i]->tag != RT_STRING) return false;
    return true;
}

/* The object with every key as a string; of equal texts the last counts. */
static rt_v with_string_keys(const rt_table *t, int flags, int depth) {
    rt_v out = rt_object((int32_t)t->len);
    for (size_t i = 0; i < t->len; i++) {
        rt_v key = t->items[2 * i];
        if (key->tag != RT_STRING) {
            rt_sb text;
            rt_sb_init(&text, 32);
            write(&text, key, flags, depth + 1);
            key = rt_sb_string(&text);
        }
        rt_object_put(out, key, t->items[2 * i + 1]);
    }
    return out;
}

static void write_object(rt_sb *sb, rt_v v, int flags, int depth) {
    rt_sorted(v);
    if (!(flags & RT_JSON_VALUE) && !has_string_keys(table_of(v))) {
        v = with_string_keys(table_of(v), flags, depth);
        rt_sorted(v);
    }
    const rt_table *t = table_of(v);
    rt_sb_byte(sb, '{');
    for (size_t i = 0; i < t->len; i++) {
        if (i) rt_sb_byte(sb, ',');
        write(sb, t->items[2 * i], flags, depth + 1);
        rt_sb_byte(sb, ':');
        write(sb, t->items[2 * i + 1], flags, depth + 1);
    }
    rt_sb_byte(sb, '}');
}

static void write_run(rt_sb *sb, const rt_v *items, size_t count, int flags, int depth) {
    for (size_t i = 0; i < count; i++) {
        if (i) rt_sb_byte(sb, ',');
        write(sb, items[i], flags, depth + 1);
    }
}

static void write_set(rt_sb *sb, rt_v v, int flags, int depth) {
    rt_sorted(v);
    const rt_table *t = table_of(v);
    bool braces = (flags & RT_JSON_VALUE) != 0;
    if (braces && t->len == 0) {
        rt_sb_text(sb, "set()");
        return;
    }
    rt_sb_byte(sb, braces ? '{' : '[');
    write_run(sb, t->items, t->len, flags, depth);
    rt_sb_byte(sb, braces ? '}' : ']');
}

static void write(rt_sb *sb, rt_v v, int flags, int depth) {
    if (RT_UNLIKELY(depth > RT_VALUE_DEPTH_MAX)) rt_abort(RT_ERR_DEPTH, "a value is nested too deeply to be written");
    switch (rt_tag(v)) {
    case RT_NULL: rt_sb_bytes(sb, "null", 4); return;
    case RT_BOOLEAN: rt_sb_text(sb, rt_bool_value(v) ? "true" : "false"); return;
    case RT_NUMBER: rt_sb_number(sb, v); return;
    case RT_STRING: rt_sb_json_string(sb, rt_str(v), rt_str_len(v), flags); return;
    case RT_ARRAY: {
        const rt_array_value *a = (const rt_array_value *)(const void *)v;
        rt_sb_byte(sb, '[');
        write_run(sb, a->items, a->len, flags, depth);
        rt_sb_byte(sb, ']');
        return;
    }
    case RT_OBJECT: write_object(sb, v, flags, depth); return;
    case RT_SET: write_set(sb, v, flags, depth); return;
    default: rt_abort(RT_ERR_INTERNAL, "an undefined value was to be written");
    }
}

void rt_sb_json(rt_sb *sb, rt_v v, int flags) { write(sb, v, flags, 0); }
