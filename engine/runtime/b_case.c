/* Upper and lower case by Unicode's simple mappings, one code point to one. */
#include "b_case_table.h"
#include "b_common.h"

static uint32_t mapped(const b_case_range *table, size_t count, uint32_t rune) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (rune > table[mid].last) {
            low = mid + 1;
        } else if (rune < table[mid].first) {
            high = mid;
        } else {
            if ((rune - table[mid].first) % (uint32_t)table[mid].stride) return rune;
            return (uint32_t)((int32_t)rune + table[mid].delta);
        }
    }
    return rune;
}

static rt_v convert(rt_v s, bool upper) {
    const char *at = rt_str(s);
    const char *end = at + rt_str_len(s);
    const char first = upper ? 'a' : 'A', last = upper ? 'z' : 'Z';
    const char *scan = at;
    while (scan < end && *scan >= 0 && (*scan < first || *scan > last)) scan++;
    if (scan == end) return s;
    rt_sb sb;
    rt_sb_init(&sb, (size_t)(end - at));
    while (at < end) {
        char c = *at;
        if (c >= 0) {
            rt_sb_byte(&sb, c >= first && c <= last ? (char)(c ^ 0x20) : c);
            at++;
            continue;
        }
        uint32_t rune = rt_utf8_next(&at, end);
        rt_sb_rune(&sb, upper ? mapped(b_case_upper, sizeof b_case_upper / sizeof *b_case_upper, rune)
                              : mapped(b_case_lower, sizeof b_case_lower / sizeof *b_case_lower, rune));
    }
    return rt_sb_string(&sb);
}

RT_EXPORT rt_v bi_lower(rt_v s) {
    B_STRING("lower", 1, s);
    return convert(s, false);
}

RT_EXPORT rt_v bi_upper(rt_v s) {
    B_STRING("upper", 1, s);
    return convert(s, true);
}
