/* Numbers as sprintf shows them. Doubles are exact: their decimal digits come from big integers. */
#include "b_format.h"

static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 32) : c; }

static void sign_of(rt_sb *sb, const b_spec *spec, bool negative) {
    if (negative) {
        rt_sb_byte(sb, '-');
    } else if (spec->plus) {
        rt_sb_byte(sb, '+');
    } else if (spec->space) {
        rt_sb_byte(sb, ' ');
    }
}

static void escape(rt_sb *sb, uint32_t rune) {
    rt_sb_text(sb, rune < 0x10000 ? "\\u" : "\\U");
    for (int shift = rune < 0x10000 ? 12 : 28; shift >= 0; shift -= 4)
        rt_sb_byte(sb, "0123456789abcdef"[(rune >> shift) & 15]);
}

rt_v b_ascii_only(rt_v text) {
    const char *at = rt_str(text);
    const char *end = at + rt_str_len(text);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(text) + 16);
    while (at < end) {
        uint32_t rune = rt_utf8_next(&at, end);
        if (rune < 0x80) {
            rt_sb_byte(&sb, (char)rune);
        } else {
            escape(&sb, rune);
        }
    }
    return rt_sb_string(&sb);
}

/* %c, %q and %U of an int. */
static rt_v rune_text(int64_t value, const b_spec *spec, uint32_t verb) {
    rt_sb sb;
    rt_sb_init(&sb, 16);
    uint32_t rune = value < 0 || value > 0x10FFFF ? 0xFFFD : (uint32_t)value;
    if (verb == 'c') {
        rt_sb_rune(&sb, rune);
    } else if (verb == 'q') {
        rt_sb one;
        rt_sb_init(&one, 16);
        rt_sb_rune(&one, rune);
        rt_v plain = rt_sb_string(&one);
        rt_sb_byte(&sb, '\'');
        if (rune == '\'') {
            rt_sb_text(&sb, "\\'");
        } else if (rune == '"') {
            rt_sb_byte(&sb, '"');
        } else {
            rt_sb quoted;
            rt_sb_init(&quoted, 16);
            b_sb_quoted(&quoted, rt_str(plain), rt_str_len(plain));
            rt_v text = rt_sb_string(&quoted);
            if (spec->plus) text = b_ascii_only(text);
            rt_sb_bytes(&sb, rt_str(text) + 1, rt_str_len(text) - 2);
        }
        rt_sb_byte(&sb, '\'');
    } else {
        rt_big big = rt_big_from_u64((uint64_t)value);
        rt_sb digits;
        rt_sb_init(&digits, 16);
        rt_sb_big(&digits, &big, 16);
        rt_v text = rt_sb_string(&digits);
        rt_sb_text(&sb, "U+");
        size_t least = spec->has_precision && spec->precision > 4 ? (size_t)spec->precision : 4;
        if (rt_str_len(text) < least) rt_sb_repeat(&sb, '0', least - rt_str_len(text));
        for (size_t i = 0; i < rt_str_len(text); i++) rt_sb_byte(&sb, upper(rt_str(text)[i]));
        if (spec->sharp && value >= 0 && value <= 0x10FFFF && b_is_print((uint32_t)value)) {
            rt_sb_text(&sb, " '");
            rt_sb_rune(&sb, (uint32_t)value);
            rt_sb_byte(&sb, '\'');
        }
    }
    return rt_sb_string(&sb);
}

rt_v b_format_integer(rt_v number, b_arg_kind kind, const b_spec *spec, uint32_t verb) {
    uint32_t base;
    int64_t small;
    switch (verb) {
    case 'v':
    case 'd': base = 10; break;
    case 's': /* big integers only: they print themselves */
        if (kind == B_ARG_INT) return 0;
        base = 10;
        break;
    case 'b': base = 2; break;
    case 'o':
    case 'O': base = 8; break;
    case 'x':
    case 'X': base = 16; break;
    case 'c':
    case 'q':
    case 'U':
        if (kind == B_ARG_BIG || !rt_num_to_int(number, &small)) return 0;
        return rune_text(small, spec, verb);
    default: return 0;
    }
    rt_big big;
    if (!rt_big_from_num(&big, number)) return 0;
    bool negative = big.negative && big.len > 0;
    big.negative = false;
    rt_sb digits;
    rt_sb_init(&digits, 32);
    rt_sb_big(&digits, &big, base);
    rt_v text = rt_sb_string(&digits);
    size_t len = rt_str_len(text);
    if (spec->has_precision && spec->precision == 0 && big.len == 0) return rt_string("", 0); /* not even a sign */
    bool marked = negative || spec->plus || spec->space;
    size_t least = 0;
    if (spec->has_precision) {
        least = (size_t)spec->precision;
    } else if (spec->zero && spec->has_width) {
        least = (size_t)spec->width > marked ? (size_t)spec->width - marked : 0;
    }
    const char *prefix = verb == 'O' ? "0o" : "";
    if (spec->sharp) {
        if (verb == 'b') prefix = "0b";
        if (verb == 'x') prefix = "0x";
        if (verb == 'X') prefix = "0X";
        bool leading = least > len || rt_str(text)[0] == '0';
        if (verb == 'o' && !leading) prefix = "0";
        if (verb == 'O' && !leading && kind != B_ARG_BIG) prefix = "0o0";
    }
    rt_sb sb;
    rt_sb_init(&sb, len + 32);
    sign_of(&sb, spec, negative);
    rt_sb_text(&sb, prefix);
    if (least > len) rt_sb_repeat(&sb, '0', least - len);
    for (size_t i = 0; i < len; i++) rt_sb_byte(&sb, verb == 'X' ? upper(rt_str(text)[i]) : rt_str(text)[i]);
    return rt_sb_string(&sb);
}

/* Digits of |value|: value = 0.<digits> * 10^point; count 0 for zero. */
typedef struct {
    const char *digits;
    size_t count;
    int64_t point;
} decimal;

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static decimal exact(double value) {
    uint64_t bits = bits_of(value);
    int exponent = (int)((bits >> 52) & 0x7FF);
    uint64_t mantissa = bits & 0xFFFFFFFFFFFFF;
    if (exponent) mantissa |= (uint64_t)1 << 52;
    exponent = (exponent ? exponent : 1) - 1075;
    rt_big big = rt_big_from_u64(mantissa);
    int64_t scale = 0;
    if (exponent > 0) {
        big = rt_big_shl(&big, (size_t)exponent);
    } else {
        while (exponent < 0 && mantissa && !(mantissa & 1)) {
            mantissa >>= 1;
            exponent++;
        }
        big = rt_big_from_u64(mantissa);
        scale = -exponent;
        for (int left = -exponent; left > 0;) { /* m / 2^k = m * 5^k / 10^k */
            int step = left < 13 ? left : 13;
            uint64_t power = 1;
            for (int i = 0; i < step; i++) power *= 5;
            rt_big factor = rt_big_from_u64(power);
            big = rt_big_mul(&big, &factor);
            left -= step;
        }
    }
    decimal result = {"", 0, 0};
    if (mantissa == 0) return result;
    rt_sb sb;
    rt_sb_init(&sb, 32);
    rt_sb_big(&sb, &big, 10);
    rt_v text = rt_sb_string(&sb);
    result.digits = rt_str(text);
    result.count = rt_str_len(text);
    result.point = (int64_t)result.count - scale;
    while (result.count && result.digits[result.count - 1] == '0') result.count--;
    return result;
}

static decimal shortest(double value) {
    decimal result = {"", 0, 0};
    if (value == 0) return result;
    rt_decimal digits;
    rt_num_decimal(rt_num_from_double(value), &digits);
    char *copy = rt_alloc(digits.count + 1);
    memcpy(copy, digits.digits, digits.count);
    result.digits = copy;
    result.count = digits.count;
    result.point = digits.point;
    return result;
}

/* Keeps `keep` digits (it may be below zero), rounding half to even as the value is exact. */
static decimal rounded(decimal d, int64_t keep) {
    if (keep >= (int64_t)d.count) return d;
    decimal result = {"", 0, 0};
    if (keep < 0) return result;
    size_t n = (size_t)keep;
    bool up = d.digits[n] > '5';
    if (d.digits[n] == '5') up = d.count > n + 1 || (n > 0 && (d.digits[n - 1] & 1));
    char *copy = rt_alloc(n + 1);
    memcpy(copy, d.digits, n);
    result = (decimal){copy, n, d.point};
    if (up) {
        while (n > 0 && copy[n - 1] == '9') n--;
        if (n == 0) {
            copy[0] = '1';
            return (decimal){copy, 1, d.point + 1};
        }
        copy[n - 1]++;
        result.count = n;
    }
    while (result.count && copy[result.count - 1] == '0') result.count--;
    return result;
}

static char digit_at(const decimal *d, int64_t i) { return i >= 0 && i < (int64_t)d->count ? d->digits[i] : '0'; }

static void plain_form(rt_sb *sb, decimal d, int64_t places, bool sharp) {
    if (d.count == 0) d.point = 0;
    if (d.point <= 0) rt_sb_byte(sb, '0');
    for (int64_t i = 0; i < d.point; i++) rt_sb_byte(sb, digit_at(&d, i));
    if (places > 0 || sharp) rt_sb_byte(sb, '.');
    for (int64_t i = 0; i < places; i++) rt_sb_byte(sb, digit_at(&d, d.point + i));
}

static void exponent_form(rt_sb *sb, decimal d, int64_t places, bool sharp, char letter) {
    rt_sb_byte(sb, digit_at(&d, 0));
    if (places > 0 || sharp) rt_sb_byte(sb, '.');
    for (int64_t i = 1; i <= places; i++) rt_sb_byte(sb, digit_at(&d, i));
    int64_t exponent = d.count ? d.point - 1 : 0;
    rt_sb_byte(sb, letter);
    rt_sb_byte(sb, exponent < 0 ? '-' : '+');
    if (exponent < 0) exponent = -exponent;
    if (exponent < 10) rt_sb_byte(sb, '0');
    rt_sb_int(sb, exponent);
}

static void general_form(rt_sb *sb, double value, const b_spec *spec, char letter) {
    int64_t precision = spec->precision;
    decimal d;
    int64_t threshold;
    if (spec->has_precision) {
        if (precision == 0) precision = 1;
        d = rounded(exact(value), precision);
        threshold = precision;
        int64_t count = (int64_t)d.count;
        if (threshold > count && count >= d.point) threshold = count;
    } else {
        d = shortest(value);
        threshold = 6;
        precision = 6;
    }
    int64_t exponent = d.count ? d.point - 1 : -1;
    int64_t digits = (int64_t)d.count;
    if (spec->sharp && digits < precision) digits = precision; /* zeros behind the shortest digits */
    if (exponent < -4 || exponent >= threshold) {
        exponent_form(sb, d, digits > 0 ? digits - 1 : 0, spec->sharp, letter);
        return;
    }
    int64_t places = digits - (d.count ? d.point : spec->sharp ? 1 : 0);
    plain_form(sb, d, places > 0 ? places : 0, spec->sharp);
}

/* 0x1.8p+01 and 4503599627370496p-52 */
static void binary_form(rt_sb *sb, double value, const b_spec *spec, uint32_t verb) {
    uint64_t bits = bits_of(value) & 0x7FFFFFFFFFFFFFFF;
    int64_t exponent = (int64_t)(bits >> 52);
    uint64_t mantissa = bits & 0xFFFFFFFFFFFFF;
    if (exponent) mantissa |= (uint64_t)1 << 52;
    if (exponent == 0) exponent = 1;
    if (verb == 'b') {
        rt_sb_int(sb, (int64_t)mantissa);
        rt_sb_byte(sb, 'p');
        exponent -= 1075;
        rt_sb_byte(sb, exponent < 0 ? '-' : '+');
        rt_sb_int(sb, exponent < 0 ? -exponent : exponent);
        return;
    }
    exponent = mantissa ? exponent - 1023 : 0;
    while (mantissa && !(mantissa >> 52)) {
        mantissa <<= 1;
        exponent--;
    }
    mantissa <<= 8; /* the leading one is bit 60 */
    if (spec->has_precision && spec->precision < 15) {
        uint64_t extra = (uint64_t)(60 - 4 * spec->precision);
        uint64_t rest = mantissa & (((uint64_t)1 << extra) - 1), half = (uint64_t)1 << (extra - 1);
        mantissa >>= extra;
        if (rest > half || (rest == half && (mantissa & 1))) mantissa++;
        mantissa <<= extra;
        if (mantissa >> 61) {
            mantissa >>= 1;
            exponent++;
        }
    }
    const char *digits = verb == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
    rt_sb_byte(sb, '0');
    rt_sb_byte(sb, (char)verb);
    rt_sb_byte(sb, (char)('0' + ((mantissa >> 60) & 1)));
    mantissa <<= 4;
    if (spec->sharp || (spec->has_precision ? spec->precision > 0 : mantissa != 0)) rt_sb_byte(sb, '.');
    int64_t written = 2; /* Go counts the `x` and the digit in front of the point */
    for (int64_t i = 0; spec->has_precision ? i < spec->precision : mantissa != 0; i++, written++) {
        rt_sb_byte(sb, digits[mantissa >> 60]);
        mantissa <<= 4;
    }
    int64_t wanted = verb == 'x' ? (spec->has_precision ? spec->precision : 6) : 0;
    for (; spec->sharp && written < wanted; written++) rt_sb_byte(sb, '0');
    rt_sb_byte(sb, verb == 'x' ? 'p' : 'P');
    rt_sb_byte(sb, exponent < 0 ? '-' : '+');
    if (exponent < 0) exponent = -exponent;
    if (exponent < 10) rt_sb_byte(sb, '0');
    rt_sb_int(sb, exponent);
}

rt_v b_format_float(double value, const b_spec *spec, uint32_t verb) {
    bool negative = (bits_of(value) >> 63) != 0;
    double size = negative ? -value : value;
    int64_t precision = spec->has_precision ? spec->precision : 6;
    rt_sb body;
    rt_sb_init(&body, 32);
    decimal d;
    switch (verb) {
    case 'v':
    case 'g': general_form(&body, size, spec, 'e'); break;
    case 'G': general_form(&body, size, spec, 'E'); break;
    case 'f':
    case 'F':
        d = exact(size);
        plain_form(&body, rounded(d, d.point + precision), precision, spec->sharp);
        break;
    case 'e':
    case 'E': exponent_form(&body, rounded(exact(size), precision + 1), precision, spec->sharp, (char)verb); break;
    case 'b':
    case 'x':
    case 'X': binary_form(&body, size, spec, verb); break;
    default: return 0;
    }
    rt_v text = rt_sb_string(&body);
    rt_sb sb;
    rt_sb_init(&sb, rt_str_len(text) + 8);
    sign_of(&sb, spec, negative);
    bool marked = negative || spec->plus || spec->space;
    if (spec->zero && spec->has_width && (size_t)spec->width > rt_str_len(text) + marked)
        rt_sb_repeat(&sb, '0', (size_t)spec->width - rt_str_len(text) - marked);
    rt_sb_value(&sb, text);
    return rt_sb_string(&sb);
}
