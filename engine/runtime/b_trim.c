/* Trimming of strings. */
#include "b_common.h"

static bool is_space(uint32_t rune) {
    if (rune < 0x80) return rune == ' ' || (rune >= 9 && rune <= 13);
    return rune == 0x85 || rune == 0xA0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 ||
           rune == 0x2029 || rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

static bool in_set(uint32_t rune, const rt_value *cutset) {
    if (!cutset) return is_space(rune);
    const char *at = rt_str(cutset);
    const char *end = at + rt_str_len(cutset);
    while (at < end) {
        if (rt_utf8_next(&at, end) == rune) return true;
    }
    return false;
}

/* `cutset` 0: white space. */
static rt_v trim(rt_v s, const rt_value *cutset, bool left, bool right) {
    const char *start = rt_str(s);
    const char *end = start + rt_str_len(s);
    while (left && start < end) {
        const char *next = start;
        if (!in_set(rt_utf8_next(&next, end), cutset)) break;
        start = next;
    }
    while (right && start < end) {
        const char *last = end;
        if (!in_set(rt_utf8_last(start, &last), cutset)) break;
        end = last;
    }
    if ((size_t)(end - start) == rt_str_len(s)) return s;
    return rt_string(start, (size_t)(end - start));
}

RT_EXPORT rt_v bi_trim(rt_v s, rt_v cutset) {
    B_STRING("trim", 1, s);
    B_STRING("trim", 2, cutset);
    return trim(s, cutset, true, true);
}

RT_EXPORT rt_v bi_trim_left(rt_v s, rt_v cutset) {
    B_STRING("trim_left", 1, s);
    B_STRING("trim_left", 2, cutset);
    return trim(s, cutset, true, false);
}

RT_EXPORT rt_v bi_trim_right(rt_v s, rt_v cutset) {
    B_STRING("trim_right", 1, s);
    B_STRING("trim_right", 2, cutset);
    return trim(s, cutset, false, true);
}

RT_EXPORT rt_v bi_trim_space(rt_v s) {
    B_STRING("trim_space", 1, s);
    return trim(s, 0, true, true);
}

RT_EXPORT rt_v bi_trim_prefix(rt_v s, rt_v prefix) {
    B_STRING("trim_prefix", 1, s);
    B_STRING("trim_prefix", 2, prefix);
    size_t n = rt_str_len(s), m = rt_str_len(prefix);
    if (m == 0 || m > n || memcmp(rt_str(s), rt_str(prefix), m) != 0) return s;
    return rt_string(rt_str(s) + m, n - m);
}

RT_EXPORT rt_v bi_trim_suffix(rt_v s, rt_v suffix) {
    B_STRING("trim_suffix", 1, s);
    B_STRING("trim_suffix", 2, suffix);
    size_t n = rt_str_len(s), m = rt_str_len(suffix);
    if (m == 0 || m > n || memcmp(rt_str(s) + (n - m), rt_str(suffix), m) != 0) return s;
    return rt_string(rt_str(s), n - m);
}
