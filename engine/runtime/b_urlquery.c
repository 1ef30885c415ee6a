/* urlquery.*: texts escaped for the query of an URL, and whole queries. */
#include "b_common.h"

/* Parameters of a query, as many as Go reads. */
#define PARAMETERS_MAX 10000

static int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static void escaped(rt_sb *sb, rt_v s) {
    for (size_t i = 0; i < rt_str_len(s); i++) {
        char c = rt_str(s)[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                     c == '.' || c == '~';
        if (plain) {
            rt_sb_byte(sb, c);
        } else if (c == ' ') {
            rt_sb_byte(sb, '+');
        } else {
            rt_sb_byte(sb, '%');
            rt_sb_byte(sb, "0123456789ABCDEF"[(unsigned char)c >> 4]);
            rt_sb_byte(sb, "0123456789ABCDEF"[c & 15]);
        }
    }
}

RT_EXPORT rt_v bi_urlquery_encode(rt_v s) {
    B_STRING("urlquery.encode", 1, s);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(s) + 16);
    escaped(&sb, s);
    return rt_sb_string(&sb);
}

/* The text that is meant; 0 after an error. */
static rt_v unescaped(const char *name, const char *text, size_t len) {
    size_t made = 0;
    char *out = rt_alloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            out[made++] = text[i] == '+' ? ' ' : text[i];
            continue;
        }
        if (len - i < 3 || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) {
            rt_sb sb;
            rt_sb_init(&sb, 48);
            rt_sb_text(&sb, "invalid URL escape ");
            b_sb_quoted(&sb, text + i, len - i < 3 ? len - i : 3);
            return rt_builtin_error_value(name, rt_sb_string(&sb));
        }
        out[made++] = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
        i += 2;
    }
    return rt_string(out, made);
}

RT_EXPORT rt_v bi_urlquery_decode(rt_v s) {
    B_STRING("urlquery.decode", 1, s);
    return unescaped("urlquery.decode", rt_str(s), rt_str_len(s));
}

static void parameter(rt_sb *sb, rt_v key, rt_v value) {
    if (sb->len) rt_sb_byte(sb, '&');
    escaped(sb, key);
    rt_sb_byte(sb, '=');
    escaped(sb, value);
}

RT_EXPORT rt_v bi_json_marshal(rt_v v);

RT_EXPORT rt_v bi_urlquery_encode_object(rt_v object) {
    static const char name[] = "urlquery.encode_object";
    static const char wrong[] = "values must be string, array[string], or set[string]";
    B_OBJECT(name, 1, object);
    /* The order is that of the texts of the keys. */
    rt_v rows = rt_object(b_cap(rt_table_len(object)));
    rt_sorted(object);
    for (RT_EACH(i, n, object)) {
        rt_v key = rt_object_key(object, i), value = rt_object_value(object, i);
        if (rt_tag(value) != RT_STRING) {
            if (!b_is_items(value)) return rt_operand_error(name, 1, wrong);
            for (uint32_t k = 0, count = b_items(value); k < count; k++)
                if (rt_tag(b_item(value, k)) != RT_STRING) return rt_operand_error(name, 1, wrong);
        }
        rt_object_put(rows, rt_tag(key) == RT_STRING ? key : bi_json_marshal(key), value);
    }
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sorted(rows);
    for (RT_EACH(i, n, rows)) {
        rt_v key = rt_object_key(rows, i), value = rt_object_value(rows, i);
        if (rt_tag(value) == RT_STRING) {
            parameter(&sb, key, value);
            continue;
        }
        for (uint32_t k = 0, count = b_items(value); k < count; k++) parameter(&sb, key, b_item(value, k));
    }
    return rt_sb_string(&sb);
}

static const char *find_byte(const char *at, const char *end, char c) {
    while (at < end && *at != c) at++;
    return at;
}

RT_EXPORT rt_v bi_urlquery_decode_object(rt_v query) {
    static const char name[] = "urlquery.decode_object";
    B_STRING(name, 1, query);
    const char *at = rt_str(query), *end = at + rt_str_len(query);
    size_t count = 1;
    for (const char *c = at; c < end; c++) count += *c == '&';
    if (count > PARAMETERS_MAX) return rt_builtin_error(name, "number of URL query parameters exceeded limit");
    /* Wherever it stands, Go tells of it, not of a wrong escape in front of it. */
    if (find_byte(at, end, ';') < end) return rt_builtin_error(name, "invalid semicolon separator in query");
    rt_v found = rt_object(0);
    for (const char *next; at < end; at = next + 1) {
        next = find_byte(at, end, '&');
        if (next == at) continue;
        const char *mark = find_byte(at, next, '=');
        rt_v key = unescaped(name, at, (size_t)(mark - at));
        if (!key) return 0;
        const char *from = mark < next ? mark + 1 : next;
        rt_v value = unescaped(name, from, (size_t)(next - from));
        if (!value) return 0;
        rt_v values = rt_object_get(found, key);
        if (!values) {
            values = rt_array(1);
            rt_object_put(found, key, values);
        }
        rt_array_push(values, value);
    }
    return found;
}
