/* Operand errors and values as text, for the builtins. */
#include "b_common.h"

rt_v b_operand_error_text(const char *name, int operand, const char *before, const char *detail, const char *after) {
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, before);
    rt_sb_text(&sb, detail);
    rt_sb_text(&sb, after);
    return rt_operand_error(name, operand, rt_str(rt_sb_string(&sb)));
}

rt_v b_element_error(const char *name, int operand, const rt_value *composite, const rt_value *got, const char *wanted) {
    const char *kind = rt_type_name(composite);
    rt_sb sb;
    rt_sb_init(&sb, 96);
    rt_sb_text(&sb, "must be ");
    rt_sb_text(&sb, kind);
    rt_sb_text(&sb, " of ");
    rt_sb_text(&sb, wanted);
    rt_sb_text(&sb, "s but got ");
    rt_sb_text(&sb, kind);
    rt_sb_text(&sb, " containing ");
    rt_sb_text(&sb, rt_type_name(got));
    return rt_operand_error(name, operand, rt_str(rt_sb_string(&sb)));
}

rt_v b_repaired(rt_v string) {
    const char *at = rt_str(string), *end = at + rt_str_len(string);
    if (rt_utf8_valid(at, end)) return string;
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(string) + 8);
    while (at < end) rt_sb_rune(&sb, rt_utf8_next(&at, end));
    return rt_sb_string(&sb);
}

bool b_is_print(uint32_t rune) {
    if (rune < 0x7F) return rune >= 0x20;
    if (rune < 0xA1 || rune == 0xAD || rune > 0x10FFFF) return false;
    if (rune < 0x1680) return true;
    if (rune == 0x1680 || rune == 0x180E || rune == 0x205F || rune == 0x3000 || rune == 0xFEFF) return false;
    if (rune >= 0x2000 && rune <= 0x200F) return false;
    if (rune >= 0x2028 && rune <= 0x202F) return false;
    if (rune >= 0x2060 && rune <= 0x206F) return false;
    if (rune >= 0xD800 && rune <= 0xF8FF) return false; /* surrogates and private use */
    if (rune >= 0xFFF9 && rune <= 0xFFFB) return false;
    if ((rune & 0xFFFE) == 0xFFFE) return false;
    return rune < 0xE0000 || (rune >= 0xE0100 && rune <= 0xE01EF);
}

static void hex_digits(rt_sb *sb, uint32_t value, int count) {
    for (int shift = 4 * (count - 1); shift >= 0; shift -= 4) rt_sb_byte(sb, "0123456789abcdef"[(value >> shift) & 15]);
}

void b_sb_quoted(rt_sb *sb, const char *bytes, size_t len) {
    const char *at = bytes;
    const char *end = bytes + len;
    rt_sb_byte(sb, '"');
    while (at < end) {
        const char *from = at;
        uint32_t rune = rt_utf8_next(&at, end);
        if (rune == 0xFFFD && at - from == 1) { /* part of a letter, cut off */
            rt_sb_text(sb, "\\x");
            hex_digits(sb, (unsigned char)*from, 2);
            continue;
        }
        static const char named[] = "\a\b\f\n\r\t\v";
        static const char letters[] = "abfnrtv";
        if (rune == '"' || rune == '\\') {
            rt_sb_byte(sb, '\\');
            rt_sb_byte(sb, (char)rune);
        } else if (b_is_print(rune)) {
            rt_sb_rune(sb, rune);
        } else {
            size_t i = 0;
            while (i < 7 && (uint32_t)(unsigned char)named[i] != rune) i++;
            rt_sb_byte(sb, '\\');
            if (i < 7) {
                rt_sb_byte(sb, letters[i]);
            } else if (rune < 0x20 || rune == 0x7F) {
                rt_sb_byte(sb, 'x');
                hex_digits(sb, rune, 2);
            } else if (rune < 0x10000) {
                rt_sb_byte(sb, 'u');
                hex_digits(sb, rune, 4);
            } else {
                rt_sb_byte(sb, 'U');
                hex_digits(sb, rune, 8);
            }
        }
    }
    rt_sb_byte(sb, '"');
}

static void term(rt_sb *sb, rt_v v, int depth) {
    if (depth > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "value is nested too deeply to be printed");
    switch (rt_tag(v)) {
    case RT_NULL: rt_sb_text(sb, "null"); break;
    case RT_BOOLEAN: rt_sb_text(sb, rt_bool_value(v) ? "true" : "false"); break;
    case RT_NUMBER: rt_sb_number(sb, v); break;
    case RT_STRING: b_sb_quoted(sb, rt_str(v), rt_str_len(v)); break;
    case RT_ARRAY:
        rt_sb_byte(sb, '[');
        for (RT_EACH(i, n, v)) {
            if (i) rt_sb_text(sb, ", ");
            term(sb, rt_array_at(v, i), depth + 1);
        }
        rt_sb_byte(sb, ']');
        break;
    case RT_OBJECT:
        rt_sorted(v);
        rt_sb_byte(sb, '{');
        for (RT_EACH(i, n, v)) {
            if (i) rt_sb_text(sb, ", ");
            term(sb, rt_object_key(v, i), depth + 1);
            rt_sb_text(sb, ": ");
            term(sb, rt_object_value(v, i), depth + 1);
        }
        rt_sb_byte(sb, '}');
        break;
    case RT_SET:
        if (rt_table_len(v) == 0) {
            rt_sb_text(sb, "set()");
            break;
        }
        rt_sorted(v);
        rt_sb_byte(sb, '{');
        for (RT_EACH(i, n, v)) {
            if (i) rt_sb_text(sb, ", ");
            term(sb, rt_set_at(v, i), depth + 1);
        }
        rt_sb_byte(sb, '}');
        break;
    default: rt_sb_text(sb, "<undefined>"); break;
    }
}

void b_sb_term(rt_sb *sb, rt_v v) { term(sb, v, 0); }
