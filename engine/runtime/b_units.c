/* units.parse_bytes: amounts such as 10KB, 1.5GiB, 4k, exact whatever the size; what is left of a byte is cut off.
 * units.parse: the same for any quantity, with `m` for thousandths; what is no integer has ten decimals. */
#include "b_common.h"

RT_EXPORT rt_v bi_lower(rt_v s);

/* OPA names the builtin twice in its errors. */
#define NAME "units.parse_bytes"
/* Digits of an exponent: as many as any amount of bytes needs, and as OPA reads. */
#define EXPONENT_DIGITS 4
#define EXPONENT_DIGITS_MAX 6

static rt_v without_quotes(rt_v text) {
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(text));
    for (size_t i = 0; i < rt_str_len(text); i++)
        if (rt_str(text)[i] != '"') rt_sb_byte(&sb, rt_str(text)[i]);
    return rt_sb_string(&sb);
}

static bool is_digit(char c) { return (unsigned)(c - '0') < 10; }

/* Where the amount in front ends: digits, dots, signs, and an `e` before a digit or a sign. 0: an exponent is too long. */
static const char *end_of_amount(const char *at, const char *end) {
    for (; at < end; at++) {
        if ((*at | 0x20) == 'e') {
            if (at + 1 == end || !(is_digit(at[1]) || at[1] == '+' || at[1] == '-')) break;
            at += !is_digit(at[1]);
            const char *c = at + 1;
            while (c < end && is_digit(*c)) c++;
            if (c - at - 1 > EXPONENT_DIGITS_MAX) return 0;
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
    rt_v text = without_quotes(bi_lower(x));
    const char *at = rt_str(text), *end = at + rt_str_len(text);
    for (const char *c = at; c < end; c++)
        if (*c == ' ') return rt_builtin_error(NAME, NAME ": spaces not allowed in resource strings");
    const char *unit = end_of_amount(at, end);
    if (!unit) return rt_builtin_error(NAME, NAME ": exponent too large");
    if (unit == at) return rt_builtin_error(NAME, NAME ": no byte amount provided");
    rt_v factor = factor_of(unit, (size_t)(end - unit));
    if (!factor) {
        rt_sb sb;
        rt_sb_init(&sb, 48);
        rt_sb_text(&sb, NAME ": byte unit ");
        rt_sb_bytes(&sb, unit, (size_t)(end - unit));
        rt_sb_text(&sb, " not recognized");
        return rt_builtin_error_value(NAME, rt_sb_string(&sb));
    }
    int32_t places;
    rt_v digits = digits_of(at, unit, &places);
    if (!digits) return rt_builtin_error(NAME, NAME ": could not parse byte amount to a number");
    if (rt_num_sign(digits) == 0) return rt_int(0);
    rt_v value = rt_num_mul(digits, factor);
    if (places == 0) return value;
    if (places > 0) return rt_num_mul(value, power_of_ten((uint32_t)places));
    rt_v divisor = power_of_ten((uint32_t)-places);
    return rt_num_div(rt_num_sub(value, rt_num_rem(value, divisor)), divisor);
}

#undef NAME
#define NAME "units.parse"
/* A thousandth as OPA has it: the 64-bit floating point number, exactly this over 2^60. */
#define MILLI_NUMERATOR 1152921504606847
#define MILLI_SHIFT 60
#define DECIMALS 10

typedef struct {
    rt_big factor;
    size_t shift; /* the factor is to be divided by 2^shift */
} scale;

/* `m` and `M` are not the same; otherwise case says nothing. */
static bool read_scale(const char *unit, size_t len, scale *out) {
    static const char letters[] = "kmgtpe";
    out->shift = 0;
    out->factor = rt_big_from_u64(1);
    if (len == 0) return true;
    if (len == 1 && unit[0] == 'm') {
        out->factor = rt_big_from_u64(MILLI_NUMERATOR);
        out->shift = MILLI_SHIFT;
        return true;
    }
    if (len > 2 || (len == 2 && (unit[1] | 0x20) != 'i')) return false;
    uint64_t factor = 1;
    for (uint32_t i = 0; letters[i]; i++) {
        factor *= len == 2 ? 1024 : 1000;
        if ((unit[0] | 0x20) != letters[i]) continue;
        out->factor = rt_big_from_u64(factor);
        return true;
    }
    return false;
}

/* What a text means: digits (without its dot and the zeros in front), moved by `places`. */
typedef struct {
    bool negative;
    char *digits;
    size_t count;
    int64_t places;
} amount;

static bool read_amount(const char *at, const char *end, amount *out) {
    out->negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    out->digits = rt_alloc((size_t)(end - at) + 1);
    out->count = 0;
    out->places = 0;
    bool any = false, dot = false;
    for (; at < end && (is_digit(*at) || (*at == '.' && !dot)); at++) {
        if (*at == '.') {
            dot = true;
            continue;
        }
        any = true;
        out->places -= dot;
        if (out->count || *at != '0') out->digits[out->count++] = *at;
    }
    if (!any) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool minus = at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        const char *first = at;
        int64_t exponent = 0; /* of few digits: end_of_amount() has looked */
        while (at < end && is_digit(*at)) exponent = exponent * 10 + (*at++ - '0');
        if (at == first) return false;
        out->places += minus ? -exponent : exponent;
    }
    return at == end;
}

static rt_big ten_to(size_t power) {
    char *digits = rt_alloc(power + 1);
    memset(digits, '0', power + 1);
    digits[0] = '1';
    rt_big out;
    (void)rt_big_from_digits(&out, digits, power + 1, 10);
    return out;
}

/* `magnitude` / 10^DECIMALS with all its decimals. */
static rt_v with_decimals(bool negative, const rt_big *magnitude) {
    rt_sb digits, out;
    rt_sb_init(&digits, 32);
    rt_sb_big(&digits, magnitude, 10);
    size_t len = digits.len, whole = len > DECIMALS ? len - DECIMALS : 0;
    rt_sb_init(&out, len + DECIMALS + 4);
    if (negative) rt_sb_byte(&out, '-');
    rt_sb_bytes(&out, whole ? rt_sb_data(&digits) : "0", whole ? whole : 1);
    rt_sb_byte(&out, '.');
    rt_sb_repeat(&out, '0', whole ? 0 : DECIMALS - len);
    rt_sb_bytes(&out, rt_sb_data(&digits) + whole, len - whole);
    return rt_num_from_text(rt_sb_data(&out), out.len);
}

/* Half away from zero. */
static rt_v quantity(const amount *of, const scale *by) {
    rt_big value, zero = rt_big_from_u64(0);
    (void)rt_big_from_digits(&value, of->digits, of->count, 10);
    if (of->count == 0) return rt_int(0);
    if ((int64_t)of->count + of->places < -3 * DECIMALS) return with_decimals(of->negative, &zero); /* whatever the unit */
    value = rt_big_mul(&value, &by->factor);
    rt_big power = ten_to((size_t)(of->places < 0 ? -of->places : of->places)), divisor = rt_big_from_u64(1), rest;
    if (of->places < 0)
        divisor = power;
    else
        value = rt_big_mul(&value, &power);
    divisor = rt_big_shl(&divisor, by->shift);
    rt_big result;
    rt_big_divmod(&value, &divisor, &result, &rest);
    if (rest.len == 0) {
        result.negative = of->negative;
        return rt_big_to_num(&result);
    }
    power = ten_to(DECIMALS);
    value = rt_big_mul(&value, &power);
    rt_big_divmod(&value, &divisor, &result, &rest);
    rest = rt_big_shl(&rest, 1);
    if (rt_big_compare_magnitude(&rest, &divisor) >= 0) {
        rt_big one = rt_big_from_u64(1);
        result = rt_big_add(&result, &one);
    }
    return with_decimals(of->negative, &result);
}

static rt_v unknown_unit(const char *unit, const char *end) {
    const char *second = unit;
    rt_sb sb;
    rt_sb_init(&sb, 48);
    rt_sb_text(&sb, NAME ": unit ");
    (void)rt_utf8_next(&second, end);
    rt_sb_bytes(&sb, unit, (size_t)(second - unit));
    rt_sb_value(&sb, bi_lower(rt_string(second, (size_t)(end - second))));
    rt_sb_text(&sb, " not recognized");
    return rt_builtin_error_value(NAME, rt_sb_string(&sb));
}

RT_EXPORT rt_v bi_units_parse(rt_v x) {
    B_STRING(NAME, 1, x);
    rt_v text = without_quotes(x);
    const char *at = rt_str(text), *end = at + rt_str_len(text);
    for (const char *c = at; c < end; c++)
        if (*c == ' ') return rt_builtin_error(NAME, NAME ": spaces not allowed in resource strings");
    const char *unit = end_of_amount(at, end);
    if (!unit) return rt_builtin_error(NAME, NAME ": exponent too large");
    if (unit == at) return rt_builtin_error(NAME, NAME ": no amount provided");
    scale by;
    amount of;
    if (!read_scale(unit, (size_t)(end - unit), &by)) return unknown_unit(unit, end);
    if (!read_amount(at, unit, &of)) return rt_builtin_error(NAME, NAME ": could not parse amount to a number");
    if (of.count > RT_BIG_DIGITS_MAX || (of.count && of.places > RT_BIG_DIGITS_MAX))
        return rt_builtin_error(NAME, NAME ": amount too long");
    return quantity(&of, &by);
}
