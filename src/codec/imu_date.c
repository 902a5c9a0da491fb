/* SPDX-License-Identifier: MIT */
/* Times that loggers write for people: "2023-02-17T12:32:16.250Z", "2023-02-17 12:32:16,250+01:00",
 * "12:32:16.250". As decimals they are seconds, since 1970 or since midnight. */
#include "codec/imu_table.h"

#define FRACTION_DIGITS 6
#define DAY_S           86400

/* n digits as a number, and behind them what follows must be. */
static bool take(vly_str *s, size_t n, const char *follows, int64_t *ret)
{
    uint64_t v;

    if (s->len < n || !vly_str_to_u64((vly_str){s->ptr, n}, &v))
        return false;
    *s = (vly_str){s->ptr + n, s->len - n};
    *ret = (int64_t)v;
    if (follows[0] == '\0')
        return true;
    if (s->len == 0 || strchr(follows, s->ptr[0]) == NULL)
        return false;
    *s = (vly_str){s->ptr + 1, s->len - 1};
    return true;
}

/* Days since 1970-01-01: whole years with their leap days, then the months. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day)
{
    static const int64_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    int64_t y = year - 1;
    int64_t leap_days = y / 4 - y / 100 + y / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);

    return (year - 1970) * 365 + leap_days + before[month - 1] + (is_leap && month > 2) + day - 1;
}

static bool take_day(vly_str *s, int64_t *ret_days)
{
    int64_t year, month, day;

    if (!take(s, 4, "-/", &year) || !take(s, 2, "-/", &month) || !take(s, 2, " T", &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *ret_days = days_since_epoch(year, month, day);
    return true;
}

/* ".250" and the like, in us; further digits are cut off. */
static int64_t take_fraction(vly_str *s)
{
    int64_t us = 0;
    size_t n = 0;

    if (s->len == 0 || (s->ptr[0] != '.' && s->ptr[0] != ','))
        return 0;
    *s = (vly_str){s->ptr + 1, s->len - 1};
    for (; s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; n++) {
        if (n < FRACTION_DIGITS)
            us = us * 10 + (s->ptr[0] - '0');
        *s = (vly_str){s->ptr + 1, s->len - 1};
    }
    for (; n < FRACTION_DIGITS; n++)
        us *= 10;
    return us;
}

/* "Z", "+01:00", "-0530" or nothing, which is taken for UTC. */
static bool take_zone(vly_str s, int64_t *ret_s)
{
    int64_t hours = 0, minutes = 0;

    *ret_s = 0;
    if (s.len == 0 || vly_str_is(s, "Z"))
        return true;
    bool is_west = s.ptr[0] == '-';
    if (!is_west && s.ptr[0] != '+')
        return false;
    s = (vly_str){s.ptr + 1, s.len - 1};
    if (!take(&s, 2, "", &hours))
        return false;
    if (s.len > 0 && s.ptr[0] == ':')
        s = (vly_str){s.ptr + 1, s.len - 1};
    if (!take(&s, 2, "", &minutes) || s.len > 0)
        return false;
    *ret_s = (hours * 60 + minutes) * (is_west ? -60 : 60);
    return true;
}

bool vly_imu__read_date(vly_str s, vly_decimal *ret)
{
    int64_t days = 0, hour, minute, second, zone_s;
    bool has_day = s.len > 10 && (s.ptr[4] == '-' || s.ptr[4] == '/');

    if (has_day && !take_day(&s, &days))
        return false;
    if (!take(&s, 2, ":", &hour) || !take(&s, 2, ":", &minute) || !take(&s, 2, "", &second) ||
        hour > 23 || minute > 59 || second > 60)
        return false;
    int64_t us = take_fraction(&s);
    if (!take_zone(s, &zone_s))
        return false;
    int64_t at_s = days * DAY_S + hour * 3600 + minute * 60 + second - zone_s;
    int64_t at_us = at_s * 1000000 + us;
    *ret = (vly_decimal){.digits = at_us < 0 ? (uint64_t)-at_us : (uint64_t)at_us,
                         .exp10 = -FRACTION_DIGITS,
                         .is_negative = at_us < 0};
    return true;
}
