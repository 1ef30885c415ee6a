/* Strings: search, cut, join, replace. Positions that a policy sees count code points. As in Go, what works on code points reads and
 * gives U+FFFD for a byte that is not UTF-8 (`indexof`, `substring`), all else works on the bytes. */
#include "b_common.h"

static bool has_prefix(const rt_value *s, const rt_value *prefix) {
    return rt_str_len(s) >= rt_str_len(prefix) && memcmp(rt_str(s), rt_str(prefix), rt_str_len(prefix)) == 0;
}

static bool has_suffix(const rt_value *s, const rt_value *suffix) {
    size_t n = rt_str_len(s), m = rt_str_len(suffix);
    return n >= m && memcmp(rt_str(s) + (n - m), rt_str(suffix), m) == 0;
}

RT_EXPORT rt_v bi_contains(rt_v s, rt_v part) {
    B_STRING("contains", 1, s);
    B_STRING("contains", 2, part);
    return rt_bool(rt_find(rt_str(s), rt_str_len(s), 0, rt_str(part), rt_str_len(part)) != SIZE_MAX);
}

RT_EXPORT rt_v bi_startswith(rt_v s, rt_v prefix) {
    B_STRING("startswith", 1, s);
    B_STRING("startswith", 2, prefix);
    return rt_bool(has_prefix(s, prefix));
}

RT_EXPORT rt_v bi_endswith(rt_v s, rt_v suffix) {
    B_STRING("endswith", 1, s);
    B_STRING("endswith", 2, suffix);
    return rt_bool(has_suffix(s, suffix));
}

/* A string, or an array or set of strings; true when it is. Otherwise *error is what the builtin answers. */
static bool strings_operand(const char *name, int n, rt_v v, rt_v *error) {
    *error = 0;
    if (rt_tag(v) == RT_STRING) return true;
    if (!b_is_items(v)) {
        *error = rt_type_error(name, n, "one of {string, set, array}", v);
        return false;
    }
    uint32_t count = b_items(v);
    for (uint32_t i = 0; i < count; i++) {
        if (rt_tag(b_item(v, i)) != RT_STRING) {
            *error = b_element_error(name, n, v, b_item(v, i), "string");
            return false;
        }
    }
    return true;
}

static rt_v any_match(const char *name, rt_v search, rt_v base, bool (*match)(const rt_value *, const rt_value *)) {
    rt_v error;
    if (!strings_operand(name, 1, search, &error) || !strings_operand(name, 2, base, &error)) return error;
    uint32_t n = search->tag == RT_STRING ? 1 : b_items(search);
    uint32_t m = base->tag == RT_STRING ? 1 : b_items(base);
    for (uint32_t i = 0; i < n; i++) {
        rt_v one = search->tag == RT_STRING ? search : b_item(search, i);
        for (uint32_t j = 0; j < m; j++) {
            if (match(one, base->tag == RT_STRING ? base : b_item(base, j))) return rt_bool(1);
        }
    }
    return rt_bool(0);
}

RT_EXPORT rt_v bi_strings_any_prefix_match(rt_v search, rt_v base) {
    return any_match("strings.any_prefix_match", search, base, has_prefix);
}

RT_EXPORT rt_v bi_strings_any_suffix_match(rt_v search, rt_v base) {
    return any_match("strings.any_suffix_match", search, base, has_suffix);
}

RT_EXPORT rt_v bi_indexof(rt_v s, rt_v part) {
    B_STRING("indexof", 1, s);
    B_STRING("indexof", 2, part);
    if (rt_str_len(part) == 0) return rt_builtin_error("indexof", "empty search character");
    s = b_repaired(s);
    part = b_repaired(part);
    size_t at = rt_find(rt_str(s), rt_str_len(s), 0, rt_str(part), rt_str_len(part));
    return rt_int(at == SIZE_MAX ? -1 : (int64_t)rt_utf8_count(rt_str(s), rt_str(s) + at));
}

RT_EXPORT rt_v bi_indexof_n(rt_v s, rt_v part) {
    B_STRING("indexof_n", 1, s);
    B_STRING("indexof_n", 2, part);
    if (rt_str_len(part) == 0) return rt_builtin_error("indexof_n", "empty search character");
    s = b_repaired(s);
    part = b_repaired(part);
    rt_v result = rt_array(4);
    const char *text = rt_str(s);
    size_t counted = 0, runes = 0;
    for (size_t at = 0; (at = rt_find(text, rt_str_len(s), at, rt_str(part), rt_str_len(part))) != SIZE_MAX; at++) {
        runes += rt_utf8_count(text + counted, text + at); /* matches may overlap */
        counted = at;
        rt_array_push(result, rt_int((int64_t)runes));
    }
    return result;
}

RT_EXPORT rt_v bi_strings_count(rt_v s, rt_v part) {
    B_STRING("strings.count", 1, s);
    B_STRING("strings.count", 2, part);
    size_t step = rt_str_len(part);
    if (step == 0) return rt_int((int64_t)rt_str_runes(s) + 1);
    int64_t count = 0;
    for (size_t at = 0; (at = rt_find(rt_str(s), rt_str_len(s), at, rt_str(part), step)) != SIZE_MAX; at += step) count++;
    return rt_int(count);
}

RT_EXPORT rt_v bi_concat(rt_v glue, rt_v parts) {
    B_STRING("concat", 1, glue);
    if (!b_is_items(parts)) return rt_type_error("concat", 2, "one of {set, array}", parts);
    uint32_t n = b_items(parts);
    rt_sb sb;
    rt_sb_init(&sb, 32);
    for (uint32_t i = 0; i < n; i++) {
        rt_v part = b_item(parts, i);
        if (rt_tag(part) != RT_STRING) return b_element_error("concat", 2, parts, part, "string");
        if (i) rt_sb_value(&sb, glue);
        rt_sb_value(&sb, part);
    }
    return rt_sb_string(&sb);
}

RT_EXPORT rt_v bi_split(rt_v s, rt_v glue) {
    B_STRING("split", 1, s);
    B_STRING("split", 2, glue);
    const char *text = rt_str(s);
    size_t len = rt_str_len(s), step = rt_str_len(glue);
    rt_v result = rt_array(4);
    if (step == 0) {
        for (const char *at = text; at < text + len;) {
            const char *start = at;
            (void)rt_utf8_next(&at, text + len);
            rt_array_push(result, rt_string(start, (size_t)(at - start)));
        }
        return result;
    }
    size_t from = 0;
    for (size_t at; (at = rt_find(text, len, from, rt_str(glue), step)) != SIZE_MAX; from = at + step)
        rt_array_push(result, rt_string(text + from, at - from));
    rt_array_push(result, from == 0 ? s : rt_string(text + from, len - from));
    return result;
}

/* The first n parts, or the last -n; all of them when there are fewer. */
RT_EXPORT rt_v bi_strings_split_n(rt_v s, rt_v glue, rt_v n) {
    B_STRING("strings.split_n", 1, s);
    B_STRING("strings.split_n", 2, glue);
    int64_t wanted;
    B_INTEGER("strings.split_n", 3, n, &wanted);
    rt_v parts = bi_split(s, glue);
    uint32_t count = rt_array_len(parts), from = 0, to = count;
    if (wanted >= 0) {
        if ((uint64_t)wanted < count) to = (uint32_t)wanted;
    } else if (-(wanted + 1) < (int64_t)count - 1) {
        from = (uint32_t)((int64_t)count + wanted);
    }
    rt_v result = rt_array(b_cap(to - from));
    for (uint32_t i = from; i < to; i++) rt_array_push(result, rt_array_at(parts, i));
    return result;
}

RT_EXPORT rt_v bi_replace(rt_v s, rt_v old, rt_v new) {
    B_STRING("replace", 1, s);
    B_STRING("replace", 2, old);
    B_STRING("replace", 3, new);
    const char *text = rt_str(s);
    size_t len = rt_str_len(s), step = rt_str_len(old);
    rt_sb sb;
    rt_sb_init(&sb, len);
    if (step == 0) { /* before every code point and at the end */
        for (const char *at = text; at < text + len;) {
            const char *start = at;
            (void)rt_utf8_next(&at, text + len);
            rt_sb_value(&sb, new);
            rt_sb_bytes(&sb, start, (size_t)(at - start));
        }
        rt_sb_value(&sb, new);
        return rt_sb_string(&sb);
    }
    size_t from = 0;
    for (size_t at; (at = rt_find(text, len, from, rt_str(old), step)) != SIZE_MAX; from = at + step) {
        rt_sb_bytes(&sb, text + from, at - from);
        rt_sb_value(&sb, new);
    }
    if (from == 0) return s;
    rt_sb_bytes(&sb, text + from, len - from);
    return rt_sb_string(&sb);
}

/* At each place the first key (in Rego order) that matches is replaced; an empty key matches once at each place. */
RT_EXPORT rt_v bi_strings_replace_n(rt_v patterns, rt_v s) {
    const char *name = "strings.replace_n";
    B_OBJECT(name, 1, patterns);
    B_STRING(name, 2, s);
    rt_sorted(patterns);
    for (RT_EACH(i, n, patterns)) {
        if (rt_tag(rt_object_key(patterns, i)) != RT_STRING)
            return rt_operand_error(name, 1, "non-string key found in pattern object");
        if (rt_tag(rt_object_value(patterns, i)) != RT_STRING)
            return rt_operand_error(name, 1, "non-string value found in pattern object");
    }
    const char *text = rt_str(s);
    size_t len = rt_str_len(s);
    rt_sb sb;
    rt_sb_init(&sb, len);
    bool after_empty = false;
    const char *letter = text; /* the start of the first code point at or behind `at` */
    for (size_t at = 0; at <= len;) {
        while (letter < text + at) (void)rt_utf8_next(&letter, text + len);
        rt_v found = 0;
        size_t step = 0;
        for (RT_EACH(i, n, patterns)) {
            rt_v key = rt_object_key(patterns, i);
            step = rt_str_len(key);
            /* not a second time, and not inside of a code point */
            if (step == 0 && (after_empty || letter != text + at)) continue;
            if (step <= len - at && memcmp(text + at, rt_str(key), step) == 0) {
                found = rt_object_value(patterns, i);
                break;
            }
        }
        after_empty = found && step == 0;
        if (found) {
            rt_sb_value(&sb, found);
            at += step;
        } else {
            if (at < len) rt_sb_byte(&sb, text[at]);
            at++;
        }
    }
    return rt_sb_string(&sb);
}

RT_EXPORT rt_v bi_substring(rt_v s, rt_v offset, rt_v length) {
    int64_t from, count;
    B_STRING("substring", 1, s);
    B_INTEGER("substring", 2, offset, &from);
    B_INTEGER("substring", 3, length, &count);
    if (from < 0) return rt_builtin_error("substring", "negative offset");
    if (from == 0 && count >= 0 && (uint64_t)count >= rt_str_runes(s)) return s;
    s = b_repaired(s);
    const char *at = rt_str(s);
    const char *end = at + rt_str_len(s);
    for (; from > 0 && at < end; from--) (void)rt_utf8_next(&at, end);
    const char *stop = at;
    if (count < 0) stop = end;
    for (; count > 0 && stop < end; count--) (void)rt_utf8_next(&stop, end);
    return rt_string(at, (size_t)(stop - at));
}

RT_EXPORT rt_v bi_strings_reverse(rt_v s) {
    B_STRING("strings.reverse", 1, s);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(s));
    const char *text = rt_str(s);
    for (const char *end = text + rt_str_len(s); end > text;) {
        const char *stop = end;
        (void)rt_utf8_last(text, &end);
        rt_sb_bytes(&sb, end, (size_t)(stop - end));
    }
    return rt_sb_string(&sb);
}
