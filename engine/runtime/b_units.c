/* units.parse_bytes: amounts such as 10KB, 1.5GiB, 4k. Exact, whatever the size; what is left of a byte is cut off. */
#include "b_common.h"

RT_EXPORT rt_v bi_lower(rt_v s);

#define NAME "units.parse_bytes"
/* Digits of an exponent, as many as any amount needs. */
#define EXPONENT_DIGITS 4

/* In lower case and without quotes. */
static rt_v plain(rt_v text) {
    rt_v lower = bi_lower(text);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(lower));
    for (size_t i = 0; i < rt_str_len(lower); i++)
        if (rt_str(lower)[i] != '"') rt_sb_byte(&sb, rt_str(lower)[i]);
    return rt_sb_string(&sb);
}

static bool is_digit(char c) { return (unsigned)(c - '0') < 10; }

/* Where the amount in front ends: digits, dots, signs, and an `e` before a digit or a sign. */
static const char *end_of_amount(const char *at, const char *end) {
    for (; at < end; at++) {
        if (*at == 'e') {
            if (at + 1 == end || !(is_digit(at[1]) || at[1] == '+' || at[1] == '-')) break;
            at += !is_digit(at[1]);
        } else if (!is_digit(*at) && *at != '.' && *at != '+' && *at != '-') {
            break;
        }
    }
    return at;
}

static rt_v power_of_ten(uint32_t power) {
    rt_sb sb;
    rt_sb_init(&sb, 16);
    rt_sb_text(&sb, "1e");
    rt_sb_int(&sb, power);
    rt_v text = rt_sb_string(&sb);
    return rt_num_from_text(rt_str(text), rt_str_len(text));
}

static rt_v power_of(int64_t base, uint32_t power) {
    rt_v value = rt_int(1), factor = rt_int(base);
    while (power--) value = rt_num_mul(value, factor);
    return value;
}

/* The factor of a unit; 0 when there is no such unit. */
static rt_v factor_of(const char *unit, size_t len) {
    if (len == 0) return rt_int(1);
    static const char letters[] = "kmgtpe";
    for (uint32_t i = 0; letters[i]; i++) {
        if (unit[0] != letters[i]) continue;
        if (len == 1 || (len == 2 && unit[1] == 'b')) return power_of(1000, i + 1);
        if ((len == 2 && unit[1] == 'i') || (len == 3 && unit[1] == 'i' && unit[2] == 'b')) return power_of(1024, i + 1);
    }
    return 0;
}

/* An amount in the form of a float of Go: its digits as an integer, and how many places they are to be moved. */
static rt_v digits_of(const char *at, const char *end, int32_t *places) {
    rt_sb sb;
    rt_sb_init(&sb, (size_t)(end - at));
    if (at < end && (*at == '+' || *at == '-') && *at++ == '-') rt_sb_byte(&sb, '-');
    const char *from = at;
    while (from < end && *from == '0') from++; /* no zeros in front, as JSON wants it */
    bool any = from > at, started = false;
    *places = 0;
    for (at = from; at < end && is_digit(*at); at++, any = started = true) rt_sb_byte(&sb, *at);
    if (at < end && *at == '.') {
        for (at++; at < end && is_digit(*at); at++, any = true, --*places) {
            if (!started && *at == '0') continue;
            started = true;
            rt_sb_byte(&sb, *at);
        }
    }
    if (!any) return 0;
    if (!started) rt_sb_byte(&sb, '0');
    if (at < end && *at == 'e') {
        at++;
        bool minus = at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        const char *first = at;
        int32_t exponent = 0;
        while (at < end && is_digit(*at) && at - first < EXPONENT_DIGITS) exponent = exponent * 10 + (*at++ - '0');
        if (at == first) return 0;
        *places += minus ? -exponent : exponent;
    }
    if (at != end) return 0;
    rt_v digits = rt_sb_string(&sb);
    return rt_num_from_text(rt_str(digits), rt_str_len(digits));
}

RT_EXPORT rt_v bi_units_parse_bytes(rt_v x) {
    B_STRING(NAME, 1, x);
    rt_v text = plain(x);
    const char *at = rt_str(text), *end = at + rt_str_len(text);
    for (const char *c = at; c < end; c++)
        if (*c == ' ') return rt_builtin_error(NAME, "spaces not allowed in resource strings");
    const char *unit = end_of_amount(at, end);
    if (unit == at) return rt_builtin_error(NAME, "no byte amount provided");
    rt_v factor = factor_of(unit, (size_t)(end - unit));
    if (!factor) {
        rt_sb sb;
        rt_sb_init(&sb, 48);
        rt_sb_text(&sb, "byte unit ");
        rt_sb_bytes(&sb, unit, (size_t)(end - unit));
        rt_sb_text(&sb, " not recognized");
        return rt_builtin_error_value(NAME, rt_sb_string(&sb));
    }
    int32_t places;
    rt_v digits = digits_of(at, unit, &places);
    if (!digits) return rt_builtin_error(NAME, "could not parse byte amount to a number");
    if (rt_num_sign(digits) == 0) return rt_int(0);
    rt_v value = rt_num_mul(digits, factor);
    if (places == 0) return value;
    if (places > 0) return rt_num_mul(value, power_of_ten((uint32_t)places));
    rt_v divisor = power_of_ten((uint32_t)-places);
    return rt_num_div(rt_num_sub(value, rt_num_rem(value, divisor)), divisor);
}
