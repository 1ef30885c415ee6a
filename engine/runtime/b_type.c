/* Types of values, casts, and the small builtins that only look. */
#include "b_common.h"

#define IS(name, type_tag) \
    RT_EXPORT rt_v bi_is_##name(rt_v v) { return rt_bool(rt_tag(v) == (type_tag)); }
IS(null, RT_NULL)
IS(boolean, RT_BOOLEAN)
IS(number, RT_NUMBER)
IS(string, RT_STRING)
IS(array, RT_ARRAY)
IS(object, RT_OBJECT)
IS(set, RT_SET)

RT_EXPORT rt_v bi_type_name(rt_v v) { return rt_string_c(rt_type_name(v)); }

#define CAST(name, type_tag)                              \
    RT_EXPORT rt_v bi_cast_##name(rt_v v) {               \
        B_WANT("cast_" #name, 1, v, type_tag, #name);     \
        return v;                                         \
    }
CAST(null, RT_NULL)
CAST(boolean, RT_BOOLEAN)
CAST(string, RT_STRING)
CAST(object, RT_OBJECT)

RT_EXPORT rt_v bi_cast_array(rt_v v) {
    if (!b_is_items(v)) return rt_type_error("cast_array", 1, "one of {array, set}", v);
    if (v->tag == RT_ARRAY) return v;
    uint32_t n = b_items(v);
    rt_v result = rt_array((int32_t)n);
    for (uint32_t i = 0; i < n; i++) rt_array_push(result, b_item(v, i));
    return result;
}

RT_EXPORT rt_v bi_cast_set(rt_v v) {
    if (!b_is_items(v)) return rt_type_error("cast_set", 1, "one of {array, set}", v);
    if (v->tag == RT_SET) return v;
    rt_v result = rt_set((int32_t)rt_array_len(v));
    for (RT_EACH(i, n, v)) rt_set_put(result, rt_array_at(v, i));
    return result;
}

static rt_v parse_error(rt_v text, const char *reason) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, "strconv.ParseFloat: parsing ");
    b_sb_quoted(&sb, rt_str(text), rt_str_len(text));
    rt_sb_text(&sb, reason);
    return rt_builtin_error_value("to_number", rt_sb_string(&sb));
}

static rt_v bad_number(rt_v text) { return parse_error(text, ": invalid syntax"); }

/* Texts beyond floating point are refused, as by OPA, although the number could be kept. */
static rt_v in_range(rt_v number, rt_v text) {
    return __builtin_isfinite(rt_num_to_double(number)) ? number : parse_error(text, ": value out of range");
}

static bool same_word(const char *text, size_t len, const char *word) {
    size_t i = 0;
    for (; i < len && word[i]; i++) {
        if ((text[i] | 0x20) != word[i]) return false;
    }
    return i == len && word[i] == 0;
}

/* Text that Go's ParseFloat takes and JSON does not (`+1`, `.5`, `1.`, `007`) is brought into JSON's form. */
static rt_v text_number(rt_v text) {
    const char *at = rt_str(text);
    const char *end = at + rt_str_len(text);
    rt_v plain = rt_num_from_text(at, (size_t)(end - at));
    if (plain) return in_range(plain, text);
    rt_sb sb;
    rt_sb_init(&sb, (size_t)(end - at) + 4);
    if (at < end && (*at == '+' || *at == '-')) {
        if (*at == '-') rt_sb_byte(&sb, '-');
        at++;
    }
    if (same_word(at, (size_t)(end - at), "inf") || same_word(at, (size_t)(end - at), "infinity") ||
        same_word(at, (size_t)(end - at), "nan"))
        return rt_type_error("to_number", 1, "valid number string", text);
    const char *digits = at;
    while (at + 1 < end && *at == '0' && at[1] >= '0' && at[1] <= '9') at++;
    if (at < end && *at == '.' && at == digits) rt_sb_byte(&sb, '0');
    while (at < end && *at >= '0' && *at <= '9') rt_sb_byte(&sb, *at++);
    bool whole = at > digits;
    if (at < end && *at == '.') {
        at++;
        const char *fraction = at;
        while (at < end && *at >= '0' && *at <= '9') at++;
        if (at == fraction && !whole) return bad_number(text);
        if (at > fraction) {
            rt_sb_byte(&sb, '.');
            rt_sb_bytes(&sb, fraction, (size_t)(at - fraction));
        }
    } else if (!whole) {
        return bad_number(text);
    }
    rt_sb_bytes(&sb, at, (size_t)(end - at)); /* the exponent, checked by the reader of numbers */
    rt_v made = rt_sb_string(&sb);
    rt_v number = rt_num_from_text(rt_str(made), rt_str_len(made));
    return number ? in_range(number, text) : bad_number(text);
}

RT_EXPORT rt_v bi_to_number(rt_v v) {
    switch (rt_tag(v)) {
    case RT_NULL: return rt_int(0);
    case RT_BOOLEAN: return rt_int(rt_bool_value(v) ? 1 : 0);
    case RT_NUMBER: return v;
    case RT_STRING: return text_number(v);
    default: return rt_type_error("to_number", 1, "one of {null, boolean, number, string}", v);
    }
}

/* Notes of explanations are not kept by this runtime; the call is true, as in OPA without an explanation. */
RT_EXPORT rt_v bi_trace(rt_v note) {
    B_STRING("trace", 1, note);
    return rt_bool(1);
}

RT_EXPORT rt_v bi_internal_print(rt_v parts) {
    B_ARRAY("internal.print", 1, parts);
    return rt_bool(1);
}
