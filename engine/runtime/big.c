/* Integers of any size: sign and magnitude in 32-bit limbs. Schoolbook algorithms; division is Knuth's algorithm D (The Art
 * of Computer Programming, volume 2, 4.3.1).
 *
 * Results are new blocks of the arena; nothing here changes its operands. A caller that makes many of them brackets its work
 * with rt_mark and rt_release.
 */
#include "rt.h"

static rt_big make(size_t limbs) {
    rt_big out = {false, limbs, rt_alloc_array(limbs ? limbs : 1, sizeof(uint32_t))};
    for (size_t i = 0; i < limbs; i++) out.limbs[i] = 0;
    return out;
}

static void trim(rt_big *a) {
    while (a->len && a->limbs[a->len - 1] == 0) a->len--;
    if (a->len == 0) a->negative = false;
}

rt_big rt_big_from_u64(uint64_t value) {
    rt_big out = make(2);
    out.limbs[0] = (uint32_t)value;
    out.limbs[1] = (uint32_t)(value >> 32);
    trim(&out);
    return out;
}

rt_big rt_big_from_int(int64_t value) {
    rt_big out = rt_big_from_u64(value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    out.negative = value < 0;
    return out;
}

/* a = a * factor + more, within the block's room. */
static void scale_up(rt_big *a, uint32_t factor, uint32_t more) {
    uint64_t carry = more;
    for (size_t i = 0; i < a->len; i++) {
        carry += (uint64_t)a->limbs[i] * factor;
        a->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) a->limbs[a->len++] = (uint32_t)carry;
}

/* a = a / divisor; the remainder is returned. */
static uint32_t scale_down(rt_big *a, uint32_t divisor) {
    uint64_t rest = 0;
    for (size_t i = a->len; i > 0; i--) {
        rest = rest << 32 | a->limbs[i - 1];
        a->limbs[i - 1] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    trim(a);
    return (uint32_t)rest;
}

static uint32_t digit_value(char c) {
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0');
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'z' ? (uint32_t)(lower - 'a' + 10) : 99;
}

/* Digits of `base` that fit in one limb, and their power. */
static size_t chunk_of(uint32_t base, uint32_t *power) {
    size_t digits = 1;
    *power = base;
    while ((uint64_t)*power * base <= UINT32_MAX) {
        *power *= base;
        digits++;
    }
    return digits;
}

bool rt_big_from_digits(rt_big *out, const char *digits, size_t count, uint32_t base) {
    uint32_t power;
    size_t chunk = chunk_of(base, &power);
    *out = make(count / chunk + 2);
    out->len = 0;
    for (size_t i = 0; i < count;) {
        uint32_t value = 0, factor = 1;
        for (size_t n = 0; n < chunk && i < count; n++, i++) {
            uint32_t digit = digit_value(digits[i]);
            if (digit >= base) return false;
            value = value * base + digit;
            factor *= base;
        }
        scale_up(out, factor, value);
    }
    trim(out);
    return true;
}

bool rt_big_from_num(rt_big *out, const rt_value *number) {
    int64_t value;
    if (rt_num_is_int(number, &value)) {
        *out = rt_big_from_int(value);
        return true;
    }
    if (!rt_num_is_integer(number)) return false;
    rt_decimal d;
    rt_num_decimal(number, &d);
    if (d.point > RT_BIG_DIGITS_MAX) return false;
    size_t zeros = (size_t)d.point - d.count;
    uint32_t power;
    size_t chunk = chunk_of(10, &power);
    rt_big a = make((size_t)d.point / chunk + 4);
    rt_big head;
    rt_big_from_digits(&head, d.digits, d.count, 10);
    memcpy(a.limbs, head.limbs, head.len * sizeof *a.limbs);
    a.len = head.len;
    for (; zeros >= chunk; zeros -= chunk) scale_up(&a, power, 0);
    for (; zeros; zeros--) scale_up(&a, 10, 0);
    trim(&a);
    a.negative = d.negative && a.len;
    *out = a;
    return true;
}

void rt_sb_big(rt_sb *sb, const rt_big *a, uint32_t base) {
    static const char symbols[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint32_t power;
    size_t chunk = chunk_of(base, &power);
    if (a->negative) rt_sb_byte(sb, '-');
    if (a->len == 0) {
        rt_sb_byte(sb, '0');
        return;
    }
    rt_big left = make(a->len);
    memcpy(left.limbs, a->limbs, a->len * sizeof *a->limbs);
    size_t room = rt_big_bits(a) + chunk + 1, at = room; /* base 2 needs a digit a bit */
    char *text = rt_alloc(room);
    while (left.len) {
        uint32_t part = scale_down(&left, power);
        for (size_t i = 0; i < chunk && (left.len || part); i++) {
            text[--at] = symbols[part % base];
            part /= base;
        }
    }
    rt_sb_bytes(sb, text + at, room - at);
}

rt_v rt_big_to_num(const rt_big *a) {
    if (a->len <= 2) {
        uint64_t value = (a->len > 1 ? (uint64_t)a->limbs[1] << 32 : 0) | (a->len ? a->limbs[0] : 0);
        if (value <= (uint64_t)INT64_MAX + a->negative) return rt_int(a->negative ? (int64_t)(0 - value) : (int64_t)value);
    }
    rt_sb sb;
    rt_sb_init(&sb, a->len * 10 + 2);
    rt_sb_big(&sb, a, 10);
    return rt_num_from_text(rt_sb_data(&sb), sb.len);
}

int rt_big_compare_magnitude(const rt_big *a, const rt_big *b) {
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    for (size_t i = a->len; i > 0; i--)
        if (a->limbs[i - 1] != b->limbs[i - 1]) return a->limbs[i - 1] < b->limbs[i - 1] ? -1 : 1;
    return 0;
}

size_t rt_big_bits(const rt_big *a) {
    return a->len ? a->len * 32 - (size_t)__builtin_clz(a->limbs[a->len - 1]) : 0;
}

static rt_big add_magnitude(const rt_big *a, const rt_big *b) {
    if (a->len < b->len) {
        const rt_big *swap = a;
        a = b;
        b = swap;
    }
    rt_big out = make(a->len + 1);
    uint64_t carry = 0;
    for (size_t i = 0; i < a->len; i++) {
        carry += (uint64_t)a->limbs[i] + (i < b->len ? b->limbs[i] : 0);
        out.limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    out.limbs[a->len] = (uint32_t)carry;
    trim(&out);
    return out;
}

/* |a| - |b|, a not smaller */
static rt_big sub_magnitude(const rt_big *a, const rt_big *b) {
    rt_big out = make(a->len);
    uint64_t borrow = 0;
    for (size_t i = 0; i < a->len; i++) {
        uint64_t take = (i < b->len ? b->limbs[i] : 0) + borrow;
        borrow = a->limbs[i] < take;
        out.limbs[i] = (uint32_t)(a->limbs[i] - take);
    }
    trim(&out);
    return out;
}

static rt_big add_signed(const rt_big *a, const rt_big *b, bool b_negative) {
    rt_big out;
    if (a->negative == b_negative) {
        out = add_magnitude(a, b);
        out.negative = a->negative && out.len;
        return out;
    }
    bool flip = rt_big_compare_magnitude(a, b) < 0;
    out = flip ? sub_magnitude(b, a) : sub_magnitude(a, b);
    out.negative = (flip ? b_negative : a->negative) && out.len;
    return out;
}

rt_big rt_big_add(const rt_big *a, const rt_big *b) { return add_signed(a, b, b->negative); }

rt_big rt_big_sub(const rt_big *a, const rt_big *b) { return add_signed(a, b, !b->negative); }

rt_big rt_big_mul(const rt_big *a, const rt_big *b) {
    rt_big out = make(a->len + b->len);
    for (size_t i = 0; i < a->len; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < b->len; j++) {
            carry += (uint64_t)a->limbs[i] * b->limbs[j] + out.limbs[i + j];
            out.limbs[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        out.limbs[i + b->len] = (uint32_t)carry;
    }
    trim(&out);
    out.negative = a->negative != b->negative && out.len;
    return out;
}

rt_big rt_big_shl(const rt_big *a, size_t bits) {
    size_t words = bits / 32, rest = bits % 32;
    if (a->len == 0) return make(0);
    rt_big out = make(a->len + words + 1);
    for (size_t i = 0; i < a->len; i++) {
        uint64_t moved = (uint64_t)a->limbs[i] << rest;
        out.limbs[i + words] |= (uint32_t)moved;
        out.limbs[i + words + 1] = (uint32_t)(moved >> 32);
    }
    trim(&out);
    return out;
}

rt_big rt_big_shr(const rt_big *a, size_t bits) {
    size_t words = bits / 32, rest = bits % 32;
    if (words >= a->len) return make(0);
    rt_big out = make(a->len - words);
    for (size_t i = 0; i < out.len; i++) {
        uint64_t pair = a->limbs[i + words];
        if (i + words + 1 < a->len) pair |= (uint64_t)a->limbs[i + words + 1] << 32;
        out.limbs[i] = (uint32_t)(pair >> rest);
    }
    trim(&out);
    return out;
}

/* Magnitudes, b of at least two limbs, a not smaller. u is a shifted (and gets the remainder), v is b shifted. */
static void divide_long(rt_big *q, rt_big *u, const rt_big *v) {
    size_t n = v->len;
    uint32_t top = v->limbs[n - 1], next = v->limbs[n - 2];
    for (size_t j = u->len - n; j > 0; j--) {
        uint32_t *at = u->limbs + (j - 1);
        uint64_t head = (uint64_t)at[n] << 32 | at[n - 1];
        uint64_t guess = head / top, rest = head % top;
        while (guess > UINT32_MAX || guess * next > (rest << 32 | at[n - 2])) {
            guess--;
            rest += top;
            if (rest > UINT32_MAX) break;
        }
        uint64_t carry = 0, borrow = 0;
        for (size_t i = 0; i < n; i++) {
            carry += guess * v->limbs[i];
            uint64_t take = (uint32_t)carry + borrow;
            borrow = at[i] < take;
            at[i] = (uint32_t)(at[i] - take);
            carry >>= 32;
        }
        uint64_t take = carry + borrow;
        borrow = at[n] < take;
        at[n] = (uint32_t)(at[n] - take);
        if (borrow) { /* the guess was one too large */
            guess--;
            uint64_t back = 0;
            for (size_t i = 0; i < n; i++) {
                back += (uint64_t)at[i] + v->limbs[i];
                at[i] = (uint32_t)back;
                back >>= 32;
            }
            at[n] = (uint32_t)(at[n] + back);
        }
        q->limbs[j - 1] = (uint32_t)guess;
    }
}

void rt_big_divmod(const rt_big *a, const rt_big *b, rt_big *quotient, rt_big *remainder) {
    rt_big q, r;
    if (rt_big_compare_magnitude(a, b) < 0) {
        q = make(0);
        r = make(a->len);
        memcpy(r.limbs, a->limbs, a->len * sizeof *a->limbs);
    } else if (b->len == 1) {
        q = make(a->len);
        memcpy(q.limbs, a->limbs, a->len * sizeof *a->limbs);
        r = rt_big_from_u64(scale_down(&q, b->limbs[0]));
    } else {
        size_t shift = (size_t)__builtin_clz(b->limbs[b->len - 1]);
        rt_big v = rt_big_shl(b, shift), moved = rt_big_shl(a, shift);
        rt_big u = make(a->len + 1);
        memcpy(u.limbs, moved.limbs, moved.len * sizeof *u.limbs);
        q = make(a->len - b->len + 1);
        divide_long(&q, &u, &v);
        trim(&u);
        r = rt_big_shr(&u, shift);
    }
    trim(&q);
    trim(&r);
    q.negative = a->negative != b->negative && q.len;
    r.negative = a->negative && r.len;
    if (quotient) *quotient = q;
    if (remainder) *remainder = r;
}
