/* Strings: bytes, nearly always UTF-8, with their length, and the builder that makes them.
 *
 * JSON that is read and text that is written are always UTF-8; a decoder (base64, hex ...) may make any bytes in between.
 */
#include "rt.h"

#define STRING_HEAD offsetof(rt_string_value, bytes)

typedef uint64_t __attribute__((may_alias, aligned(1))) word64;

static rt_string_value *new_string(size_t len) {
    if (len > UINT32_MAX - 64) rt_abort(RT_ERR_MEMORY, "a string is too long");
    rt_string_value *s = rt_alloc(STRING_HEAD + len + 1);
    s->head = (rt_value){RT_STRING, 0, 0, 0};
    s->len = (uint32_t)len;
    s->bytes[len] = 0;
    return s;
}

rt_v rt_string(const char *bytes, size_t len) {
    rt_string_value *s = new_string(len);
    memcpy(s->bytes, bytes, len);
    return &s->head;
}

rt_v rt_string_c(const char *text) { return rt_string(text, strlen(text)); }

uint32_t rt_utf8_next(const char **at, const char *end) {
    const unsigned char *s = (const unsigned char *)*at;
    size_t left = (size_t)(end - *at);
    uint32_t c = s[0];
    *at += 1;
    if (c < 0x80) return c;
    /* The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF. */
    uint32_t low = 0x80, high = 0xBF;
    size_t more;
    if (c >= 0xC2 && c <= 0xDF) {
        more = 1;
        c &= 0x1F;
    } else if (c >= 0xE0 && c <= 0xEF) {
        more = 2;
        if (c == 0xE0) low = 0xA0;
        if (c == 0xED) high = 0x9F;
        c &= 0x0F;
    } else if (c >= 0xF0 && c <= 0xF4) {
        more = 3;
        if (c == 0xF0) low = 0x90;
        if (c == 0xF4) high = 0x8F;
        c &= 0x07;
    } else {
        return 0xFFFD;
    }
    if (left <= more) return 0xFFFD;
    for (size_t i = 1; i <= more; i++) {
        uint32_t b = s[i];
        if (b < low || b > high) return 0xFFFD;
        low = 0x80;
        high = 0xBF;
        c = c << 6 | (b & 0x3F);
    }
    *at += more;
    return c;
}

size_t rt_utf8_put(char *to, uint32_t rune) {
    if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) rune = 0xFFFD;
    if (rune < 0x80) {
        to[0] = (char)rune;
        return 1;
    }
    if (rune < 0x800) {
        to[0] = (char)(0xC0 | rune >> 6);
        to[1] = (char)(0x80 | (rune & 0x3F));
        return 2;
    }
    if (rune < 0x10000) {
        to[0] = (char)(0xE0 | rune >> 12);
        to[1] = (char)(0x80 | (rune >> 6 & 0x3F));
        to[2] = (char)(0x80 | (rune & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | rune >> 18);
    to[1] = (char)(0x80 | (rune >> 12 & 0x3F));
    to[2] = (char)(0x80 | (rune >> 6 & 0x3F));
    to[3] = (char)(0x80 | (rune & 0x3F));
    return 4;
}

uint32_t rt_utf8_last(const char *start, const char **end) {
    const char *first = *end - 1, *next;
    for (int i = 0; i < 3 && first > start && ((unsigned char)*first & 0xC0) == 0x80; i++) first--;
    next = first;
    uint32_t rune = rt_utf8_next(&next, *end);
    if (next != *end) { /* not one code point to the very end: its last byte stands alone */
        *end -= 1;
        return 0xFFFD;
    }
    *end = first;
    return rune;
}

static const char *skip_ascii(const char *at, const char *end) {
    while (end - at >= 8 && !(*(const word64 *)at & 0x8080808080808080)) at += 8;
    while (at < end && (unsigned char)*at < 0x80) at++;
    return at;
}

size_t rt_utf8_count(const char *at, const char *end) {
    size_t count = 0;
    while (at < end) {
        const char *from = at;
        at = skip_ascii(at, end);
        count += (size_t)(at - from);
        if (at == end) break;
        (void)rt_utf8_next(&at, end);
        count++;
    }
    return count;
}

bool rt_utf8_valid(const char *at, const char *end) {
    while ((at = skip_ascii(at, end)) < end) {
        const char *from = at;
        if (rt_utf8_next(&at, end) == 0xFFFD && at - from == 1) return false;
    }
    return true;
}

size_t rt_str_runes(const rt_value *v) { return rt_utf8_count(rt_str(v), rt_str(v) + rt_str_len(v)); }

/* Short needles: scan for the first byte and compare. Long ones: the automaton of Knuth, Morris and Pratt ("Fast pattern
 * matching in strings", SIAM J. Comput. 6(2), 1977), so that the time is linear whatever the texts are. */
#define KMP_FROM 16

static size_t find_long(const char *hay, size_t hay_len, size_t from, const char *needle, size_t n) {
    void *mark = rt_mark();
    uint32_t *border = rt_alloc_array(n, sizeof *border);
    size_t found = SIZE_MAX;
    border[0] = 0;
    for (size_t i = 1, k = 0; i < n; i++) {
        while (k && needle[i] != needle[k]) k = border[k - 1];
        if (needle[i] == needle[k]) k++;
        border[i] = (uint32_t)k;
    }
    for (size_t i = from, k = 0; i < hay_len; i++) {
        while (k && hay[i] != needle[k]) k = border[k - 1];
        if (hay[i] == needle[k]) k++;
        if (k == n) {
            found = i + 1 - n;
            break;
        }
    }
    rt_release(mark);
    return found;
}

size_t rt_find(const char *hay, size_t hay_len, size_t from, const char *needle, size_t n) {
    if (from > hay_len || n > hay_len - from) return SIZE_MAX;
    if (n == 0) return from;
    if (n >= KMP_FROM) return find_long(hay, hay_len, from, needle, n);
    for (size_t i = from; i <= hay_len - n; i++)
        if (hay[i] == needle[0] && memcmp(hay + i, needle, n) == 0) return i;
    return SIZE_MAX;
}

bool rt_str_is(const rt_value *v, const char *text) {
    size_t n = strlen(text);
    return rt_tag(v) == RT_STRING && rt_str_len(v) == n && memcmp(rt_str(v), text, n) == 0;
}

/* ---- builder: the text grows behind the head of the string value that it becomes ---- */

void rt_sb_init(rt_sb *sb, size_t capacity) {
    if (capacity < 20) capacity = 20;
    if (capacity > UINT32_MAX - 64) rt_abort(RT_ERR_MEMORY, "a string is too long");
    sb->base = rt_alloc(STRING_HEAD + capacity + 1);
    sb->len = 0;
    sb->cap = capacity;
}

RT_COLD static void sb_grow(rt_sb *sb, size_t more) {
    if (more > UINT32_MAX - 64 - sb->len) rt_abort(RT_ERR_MEMORY, "a string is too long");
    size_t cap = sb->cap < (UINT32_MAX - 64) / 2 ? sb->cap * 2 : UINT32_MAX - 64;
    if (cap < sb->len + more) cap = sb->len + more;
    sb->base = rt_realloc(sb->base, STRING_HEAD + sb->cap + 1, STRING_HEAD + cap + 1);
    sb->cap = cap;
}

void rt_sb_reserve(rt_sb *sb, size_t more) {
    if (more > sb->cap - sb->len) sb_grow(sb, more);
}

void rt_sb_byte(rt_sb *sb, char c) {
    rt_sb_reserve(sb, 1);
    sb->base[STRING_HEAD + sb->len++] = c;
}

void rt_sb_bytes(rt_sb *sb, const char *bytes, size_t len) {
    rt_sb_reserve(sb, len);
    memcpy(sb->base + STRING_HEAD + sb->len, bytes, len);
    sb->len += len;
}

void rt_sb_text(rt_sb *sb, const char *text) { rt_sb_bytes(sb, text, strlen(text)); }

void rt_sb_repeat(rt_sb *sb, char c, size_t times) {
    rt_sb_reserve(sb, times);
    memset(sb->base + STRING_HEAD + sb->len, c, times);
    sb->len += times;
}

void rt_sb_rune(rt_sb *sb, uint32_t rune) {
    rt_sb_reserve(sb, 4);
    sb->len += rt_utf8_put(sb->base + STRING_HEAD + sb->len, rune);
}

void rt_sb_int(rt_sb *sb, int64_t value) {
    char digits[20];
    size_t n = 0;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[sizeof digits - ++n] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0) rt_sb_byte(sb, '-');
    rt_sb_bytes(sb, digits + sizeof digits - n, n);
}

void rt_sb_value(rt_sb *sb, rt_v string_value) { rt_sb_bytes(sb, rt_str(string_value), rt_str_len(string_value)); }

char *rt_sb_data(rt_sb *sb) { return sb->base + STRING_HEAD; }

rt_v rt_sb_string(rt_sb *sb) {
    rt_string_value *s = (rt_string_value *)(void *)sb->base;
    s->head = (rt_value){RT_STRING, 0, 0, 0};
    s->len = (uint32_t)sb->len;
    s->bytes[sb->len] = 0;
    return &s->head;
}
