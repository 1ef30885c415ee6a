/* Numbers: how they are stored, read, printed, compared and hashed. Arithmetic is in arith.c.
 *
 * An integer literal in canonical form that fits is an int64; every other number keeps its text, because OPA prints 1.50 and
 * 1e2 as they were written, together with its exact decimal digits, by which it is compared. Never a float.
 */
#include "order.h"

rt_v rt_int(int64_t value) {
    rt_int_value *n = rt_alloc(sizeof *n);
    n->head = (rt_value){RT_NUMBER, RT_NUM_INT, 0, 0};
    n->value = value;
    return &n->head;
}

static int64_t int_of(const rt_value *v) { return ((const rt_int_value *)(const void *)v)->value; }

static const rt_text_number *text_of(const rt_value *v) { return (const rt_text_number *)(const void *)v; }

static bool is_digit(char c) { return (unsigned)(c - '0') < 10; }

/* The parts of a number's text. */
typedef struct {
    const char *whole, *fraction;
    size_t whole_len, fraction_len;
    int64_t exponent;
    bool negative, plain; /* plain: no fraction, no exponent */
} parts;

static bool split(parts *p, const char *text, size_t len) {
    const char *at = text, *end = text + len;
    *p = (parts){.plain = true};
    if (at < end && *at == '-') {
        p->negative = true;
        at++;
    }
    p->whole = at;
    while (at < end && is_digit(*at)) at++;
    p->whole_len = (size_t)(at - p->whole);
    if (p->whole_len == 0 || (p->whole_len > 1 && p->whole[0] == '0')) return false;
    if (at < end && *at == '.') {
        p->plain = false;
        p->fraction = ++at;
        while (at < end && is_digit(*at)) at++;
        p->fraction_len = (size_t)(at - p->fraction);
        if (p->fraction_len == 0) return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        p->plain = false;
        bool minus = false;
        at++;
        if (at < end && (*at == '+' || *at == '-')) minus = *at++ == '-';
        if (at == end) return false;
        while (at < end && is_digit(*at)) {
            if (p->exponent < 10 * (int64_t)RT_NUM_POINT_MAX) p->exponent = p->exponent * 10 + (*at - '0');
            at++;
        }
        if (!is_digit(at[-1])) return false;
        if (minus) p->exponent = -p->exponent;
    }
    return at == end;
}

/* Digits of at most 19 places as an integer; false when it does not fit. */
static bool small(const char *digits, size_t count, bool negative, int64_t *out) {
    if (count > 19) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) value = value * 10 + (uint64_t)(digits[i] - '0');
    if (value > (uint64_t)INT64_MAX + negative) return false;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

rt_v rt_num_from_text(const char *text, size_t len) {
    parts p;
    int64_t value;
    if (!split(&p, text, len)) return 0;
    if (p.plain && small(p.whole, p.whole_len, p.negative, &value) && !(p.negative && value == 0)) return rt_int(value);
    size_t room = p.whole_len + p.fraction_len;
    if (len > UINT32_MAX / 4) rt_abort(RT_ERR_MEMORY, "a number is too long");
    rt_text_number *n = rt_alloc(sizeof *n + len + room);
    n->head = (rt_value){RT_NUMBER, RT_NUM_TEXT, 0, 0};
    n->text_len = (uint32_t)len;
    memcpy(n->bytes, text, len);
    char *digits = n->bytes + len;
    memcpy(digits, p.whole, p.whole_len);
    if (p.fraction_len) memcpy(digits + p.whole_len, p.fraction, p.fraction_len);
    size_t low = 0, high = room;
    while (low < high && digits[low] == '0') low++;
    while (high > low && digits[high - 1] == '0') high--;
    memmove(digits, digits + low, high - low);
    n->digit_count = (uint32_t)(high - low);
    n->point = 0;
    if (n->digit_count == 0) return &n->head;
    if (p.negative) n->head.flags |= RT_FLAG_NEGATIVE;
    int64_t point = (int64_t)p.whole_len - (int64_t)low + p.exponent;
    if (point > RT_NUM_POINT_MAX) point = RT_NUM_POINT_MAX;
    if (point < -RT_NUM_POINT_MAX) point = -RT_NUM_POINT_MAX;
    n->point = point;
    return &n->head;
}

void rt_sb_number(rt_sb *sb, const rt_value *number) {
    if (number->kind == RT_NUM_INT)
        rt_sb_int(sb, int_of(number));
    else
        rt_sb_bytes(sb, text_of(number)->bytes, text_of(number)->text_len);
}

bool rt_num_is_int(const rt_value *number, int64_t *out) {
    if (number->kind == RT_NUM_INT) {
        *out = int_of(number);
        return true;
    }
    /* -0 is the one integer literal that is kept as text although it fits. */
    const rt_text_number *n = text_of(number);
    *out = 0;
    return n->text_len == 2 && n->bytes[0] == '-' && n->bytes[1] == '0';
}

bool rt_num_is_whole(const rt_value *number, int64_t *out) {
    if (rt_num_is_int(number, out)) return true;
    const rt_text_number *n = text_of(number);
    for (uint32_t i = 0; i < n->text_len; i++) {
        if (n->bytes[i] == 'e' || n->bytes[i] == 'E') return false;
    }
    return rt_num_to_int(number, out);
}

bool rt_num_to_int(const rt_value *number, int64_t *out) {
    if (number->kind == RT_NUM_INT) {
        *out = int_of(number);
        return true;
    }
    const rt_text_number *n = text_of(number);
    if (n->digit_count == 0) {
        *out = 0;
        return true;
    }
    if (n->point > 19 || n->point < (int64_t)n->digit_count) return false;
    char digits[19];
    for (size_t i = 0; i < (size_t)n->point; i++) digits[i] = i < n->digit_count ? n->bytes[n->text_len + i] : '0';
    return small(digits, (size_t)n->point, (number->flags & RT_FLAG_NEGATIVE) != 0, out);
}

bool rt_num_is_integer(const rt_value *number) {
    return number->kind == RT_NUM_INT || text_of(number)->digit_count == 0 ||
           text_of(number)->point >= (int64_t)text_of(number)->digit_count;
}

int rt_num_sign(const rt_value *number) {
    if (number->kind == RT_NUM_INT) return int_of(number) < 0 ? -1 : int_of(number) > 0;
    if (text_of(number)->digit_count == 0) return 0;
    return number->flags & RT_FLAG_NEGATIVE ? -1 : 1;
}

void rt_num_decimal(const rt_value *number, rt_decimal *out) {
    out->negative = rt_num_sign(number) < 0;
    if (number->kind == RT_NUM_TEXT) {
        const rt_text_number *n = text_of(number);
        out->digits = n->bytes + n->text_len;
        out->count = n->digit_count;
        out->point = n->point;
        return;
    }
    int64_t value = int_of(number);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t at = sizeof out->room;
    while (left) {
        out->room[--at] = (char)('0' + left % 10);
        left /= 10;
    }
    out->digits = out->room + at;
    out->count = sizeof out->room - at;
    out->point = (int64_t)out->count;
    while (out->count && out->digits[out->count - 1] == '0') out->count--;
}

int rt_num_compare(const rt_value *a, const rt_value *b) {
    if (a->kind == RT_NUM_INT && b->kind == RT_NUM_INT) {
        int64_t x = int_of(a), y = int_of(b);
        return x < y ? -1 : x > y;
    }
    int x = rt_num_sign(a), y = rt_num_sign(b);
    if (x != y) return x < y ? -1 : 1;
    if (x == 0) return 0;
    rt_decimal p, q;
    rt_num_decimal(a, &p);
    rt_num_decimal(b, &q);
    int order;
    if (p.point != q.point) {
        order = p.point < q.point ? -1 : 1;
    } else {
        order = memcmp(p.digits, q.digits, p.count < q.count ? p.count : q.count);
        if (order == 0) order = p.count < q.count ? -1 : p.count > q.count;
    }
    return x < 0 ? -order : order;
}

bool rt_num_equal(const rt_value *a, const rt_value *b) {
    if (a->kind == RT_NUM_INT && b->kind == RT_NUM_INT) return int_of(a) == int_of(b);
    return rt_num_compare(a, b) == 0;
}

uint64_t rt_num_hash(const rt_value *number) {
    int64_t value;
    if (rt_num_to_int(number, &value)) return hash_mix(RT_HASH_SEED_INT, (uint64_t)value);
    rt_decimal d;
    rt_num_decimal(number, &d);
    uint64_t h = hash_mix(RT_HASH_SEED_DECIMAL ^ d.negative, (uint64_t)d.point);
    return hash_bytes(h, d.digits, d.count);
}
