/* Decimal to binary and back, exactly rounded, by integers of any size.
 *
 * Printing is the free-format algorithm of Steele and White, and of Dragon4 ("How to print floating-point numbers accurately",
 * PLDI 1990). Go's big.Float takes the two neighbours of a number as equally far away, also at powers of two; so does this file for what
 * OPA prints, but not for doubles.
 */
#include "binary.h"

static rt_big power_of_ten(size_t n) {
    rt_big out = rt_big_from_u64(1), base = rt_big_from_u64(10);
    for (; n; n >>= 1) {
        if (n & 1) out = rt_big_mul(&out, &base);
        if (n > 1) base = rt_big_mul(&base, &base);
    }
    return out;
}

static uint64_t low64(const rt_big *a) {
    return (a->len > 1 ? (uint64_t)a->limbs[1] << 32 : 0) | (a->len ? a->limbs[0] : 0);
}

/* Any of the lowest `bits` bits set? */
static bool any_below(const rt_big *a, size_t bits) {
    for (size_t i = 0; i < a->len && i * 32 < bits; i++) {
        uint32_t limb = a->limbs[i];
        if (bits - i * 32 < 32) limb &= ((uint32_t)1 << (bits - i * 32)) - 1;
        if (limb) return true;
    }
    return false;
}

binary binary_round(const rt_big *a, int64_t exponent, bool sticky, size_t bits) {
    size_t have = rt_big_bits(a);
    if (have == 0) return (binary){0};
    binary out = {a->negative, 0, exponent};
    if (have <= bits) {
        out.mantissa = low64(a);
    } else {
        size_t drop = have - bits;
        rt_big kept = rt_big_shr(a, drop), half = rt_big_shr(a, drop - 1);
        out.mantissa = low64(&kept);
        out.exponent += (int64_t)drop;
        bool up = (half.limbs[0] & 1) && (sticky || any_below(a, drop - 1) || (out.mantissa & 1));
        if (up) {
            bool full = bits == 64 ? out.mantissa == UINT64_MAX : out.mantissa + 1 == (uint64_t)1 << bits;
            out.mantissa = full ? (uint64_t)1 << (bits - 1) : out.mantissa + 1;
            out.exponent += full;
        }
    }
    int shift = __builtin_clzll(out.mantissa);
    out.mantissa <<= shift;
    out.exponent -= shift;
    return out;
}

#define POINT_MAX 20000
#define DIGITS_USED 20000

static binary from_decimal(const rt_decimal *d, size_t bits) {
    if (d->count == 0) return (binary){0};
    size_t count = d->count;
    bool sticky = false;
    if (count > DIGITS_USED) {
        count = DIGITS_USED;
        sticky = true;
    }
    rt_big digits;
    rt_big_from_digits(&digits, d->digits, count, 10);
    digits.negative = d->negative;
    int64_t ten = d->point - (int64_t)count;
    if (ten >= 0) {
        rt_big factor = power_of_ten((size_t)ten), value = rt_big_mul(&digits, &factor);
        return binary_round(&value, 0, sticky, bits);
    }
    rt_big divisor = power_of_ten((size_t)-ten), quotient, rest;
    size_t have = rt_big_bits(&digits), want = rt_big_bits(&divisor) + bits + 2;
    size_t shift = want > have ? want - have : 0;
    rt_big value = rt_big_shl(&digits, shift);
    value.negative = d->negative;
    rt_big_divmod(&value, &divisor, &quotient, &rest);
    return binary_round(&quotient, -(int64_t)shift, sticky || rest.len != 0, bits);
}

binary binary_from_num(const rt_value *number) {
    rt_decimal d;
    rt_num_decimal(number, &d);
    if (d.point > POINT_MAX || d.point < -POINT_MAX)
        rt_abort(RT_ERR_BUILTIN, "a number's exponent is too large for arithmetic");
    void *mark = rt_mark();
    binary out = from_decimal(&d, 64);
    rt_release(mark);
    return out;
}

static void times(rt_big *a, uint32_t factor) {
    rt_big by = rt_big_from_u64(factor);
    *a = rt_big_mul(a, &by);
}

/* Carries a rounding up of the digits; may make the number one digit shorter and the point larger. */
static size_t round_up(char *digits, size_t count, int64_t *point) {
    while (count && digits[count - 1] == '9') count--;
    if (count == 0) {
        digits[0] = '1';
        *point += 1;
        return 1;
    }
    digits[count - 1]++;
    return count;
}

size_t binary_digits(binary value, size_t bits, bool narrow, char *digits, int64_t *point) {
    /* value = r / s; half the way to the neighbour above = m / s, to the one below = below / s */
    int64_t exponent = value.exponent + (int64_t)(64 - bits);
    uint64_t mantissa = value.mantissa >> (64 - bits);
    bool inclusive = !(mantissa & 1);
    size_t up_by = exponent > 0 ? (size_t)exponent : 0, down_by = exponent < 0 ? (size_t)-exponent : 0;
    rt_big r = rt_big_from_u64(mantissa), s = rt_big_from_u64(1), m = rt_big_from_u64(1), below;
    r = rt_big_shl(&r, up_by + 1 + narrow);
    s = rt_big_shl(&s, down_by + 1 + narrow);
    m = rt_big_shl(&m, up_by);
    below = m;
    if (narrow) m = rt_big_shl(&m, 1);
    /* 30103 / 100000 is log10(2); the loops below mend an estimate that is off by one. */
    int64_t estimate = (exponent + (int64_t)bits) * 30103 / 100000;
    *point = estimate;
    if (estimate > 0) {
        rt_big power = power_of_ten((size_t)estimate);
        s = rt_big_mul(&s, &power);
    } else if (estimate < 0) {
        rt_big power = power_of_ten((size_t)-estimate);
        r = rt_big_mul(&r, &power);
        m = rt_big_mul(&m, &power);
        below = rt_big_mul(&below, &power);
    }
    while (rt_big_compare_magnitude(&r, &s) >= 0) {
        times(&s, 10);
        *point += 1;
    }
    for (;;) {
        rt_big ten = r;
        times(&ten, 10);
        if (rt_big_compare_magnitude(&ten, &s) >= 0) break;
        r = ten;
        times(&m, 10);
        times(&below, 10);
        *point -= 1;
    }
    for (size_t count = 0;;) {
        rt_big digit;
        times(&r, 10);
        times(&m, 10);
        times(&below, 10);
        rt_big_divmod(&r, &s, &digit, &r);
        digits[count++] = (char)('0' + low64(&digit));
        rt_big above = rt_big_add(&r, &m);
        int low = rt_big_compare_magnitude(&r, &below), high = rt_big_compare_magnitude(&above, &s);
        bool down = low < 0 || (inclusive && low == 0), up = high > 0 || (inclusive && high == 0);
        if (!down && !up) continue;
        if (down && up) {
            rt_big twice = rt_big_shl(&r, 1);
            int half = rt_big_compare_magnitude(&twice, &s);
            up = half > 0 || (half == 0 && (digits[count - 1] & 1));
        }
        if (up) count = round_up(digits, count, point);
        while (count > 1 && digits[count - 1] == '0') count--;
        return count;
    }
}

static void put_exponent(rt_sb *sb, int64_t exponent) {
    rt_sb_byte(sb, 'e');
    rt_sb_byte(sb, exponent < 0 ? '-' : '+');
    if (exponent < 0) exponent = -exponent;
    if (exponent < 10) rt_sb_byte(sb, '0');
    rt_sb_int(sb, exponent);
}

rt_v decimal_to_num(bool negative, const char *digits, size_t count, int64_t point) {
    rt_sb sb;
    rt_sb_init(&sb, 48);
    if (negative) rt_sb_byte(&sb, '-');
    int64_t exponent = point - 1;
    if (point >= (int64_t)count) { /* an integer */
        rt_sb_bytes(&sb, digits, count);
        rt_sb_repeat(&sb, '0', (size_t)point - count);
    } else if (exponent < -4 || exponent >= 6) {
        rt_sb_byte(&sb, digits[0]);
        if (count > 1) {
            rt_sb_byte(&sb, '.');
            rt_sb_bytes(&sb, digits + 1, count - 1);
        }
        put_exponent(&sb, exponent);
    } else if (point <= 0) {
        rt_sb_text(&sb, "0.");
        rt_sb_repeat(&sb, '0', (size_t)-point);
        rt_sb_bytes(&sb, digits, count);
    } else {
        rt_sb_bytes(&sb, digits, (size_t)point);
        rt_sb_byte(&sb, '.');
        rt_sb_bytes(&sb, digits + point, count - (size_t)point);
    }
    return rt_num_from_text(rt_sb_data(&sb), sb.len);
}

rt_v binary_to_num(binary value) {
    if (value.mantissa == 0) return rt_int(0);
    char digits[32];
    int64_t point;
    void *mark = rt_mark();
    size_t count = binary_digits(value, 64, false, digits, &point);
    rt_release(mark);
    return decimal_to_num(value.negative, digits, count, point);
}

/* ---- doubles ---- */

double rt_num_to_double(const rt_value *number) {
    rt_decimal d;
    rt_num_decimal(number, &d);
    union {
        uint64_t bits;
        double value;
    } out = {(uint64_t)d.negative << 63};
    if (d.count == 0 || d.point < -400) return out.value;
    uint64_t infinite = (uint64_t)0x7FF << 52;
    if (d.point > 400) {
        out.bits |= infinite;
        return out.value;
    }
    void *mark = rt_mark();
    binary b = from_decimal(&d, 53);
    /* Exponent of the top bit; below -1022 the numbers are subnormal and have fewer bits. */
    int64_t top = b.exponent + 63;
    if (top < -1022) {
        int64_t bits = 53 - (-1022 - top);
        if (bits >= 1) {
            b = from_decimal(&d, (size_t)bits);
        } else {
            b = from_decimal(&d, 64); /* more than half of the smallest subnormal is rounded up to it */
            bool up = b.exponent + 63 == -1075 && b.mantissa > (uint64_t)1 << 63;
            rt_release(mark);
            out.bits |= up;
            return out.value;
        }
        rt_release(mark);
        out.bits |= b.mantissa >> (-1074 - b.exponent);
        return out.value;
    }
    rt_release(mark);
    if (top > 1023) {
        out.bits |= infinite;
        return out.value;
    }
    out.bits |= (uint64_t)(top + 1023) << 52 | (b.mantissa << 1 >> 12);
    return out.value;
}

rt_v rt_num_from_double(double value) {
    union {
        double value;
        uint64_t bits;
    } in = {value};
    int64_t exponent = (int64_t)(in.bits >> 52 & 0x7FF);
    uint64_t fraction = in.bits & (((uint64_t)1 << 52) - 1);
    if (exponent == 0x7FF) rt_abort(RT_ERR_INTERNAL, "a number that is not finite");
    if (exponent == 0 && fraction == 0) return rt_int(0);
    binary b = {in.bits >> 63 != 0, fraction, exponent ? exponent - 1075 : -1074};
    if (exponent) b.mantissa |= (uint64_t)1 << 52;
    size_t bits = 64 - (size_t)__builtin_clzll(b.mantissa);
    b.exponent -= (int64_t)(64 - bits);
    b.mantissa <<= 64 - bits;
    char digits[32];
    int64_t point;
    void *mark = rt_mark();
    bool narrow = fraction == 0 && exponent > 1; /* below a power of two the doubles are twice as dense */
    size_t count = binary_digits(b, bits, narrow, digits, &point);
    rt_release(mark);
    return decimal_to_num(b.negative, digits, count, point);
}
