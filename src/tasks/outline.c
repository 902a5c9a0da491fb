/* SPDX-License-Identifier: MIT */
/*
 * The tracer walks along pixel edges with the region on its right hand, so it goes clockwise around
 * a region and the other way around a hole. Every edge above a set and below a clear pixel belongs
 * to exactly one outline: these edges are where walks begin, and what `seen` marks.
 */
#include "tasks/outline.h"

#include "base/assert.h"

#include <math.h>
#include <string.h>

/* East, south, west, north: the next index is a turn to the right. */
static const int step_x[4] = {1, 0, -1, 0};
static const int step_y[4] = {0, 1, 0, -1};
/* The pixel on the right hand ahead of a corner, per direction; the left one is that of dir - 1. */
static const int right_x[4] = {0, -1, -1, 0};
static const int right_y[4] = {0, 0, -1, -1};

typedef struct vec {
    double x, y;
} vec;

static double cross(vec a, vec b)
{
    return a.x * b.y - a.y * b.x;
}

/* Drops corners that the line between its neighbours passes within tolerance. */
typedef struct simplifier {
    double tolerance;
    vec origin; /* added to what is given out */
    vec anchor; /* last point given out */
    vec last;   /* last corner seen */
    vec low; /* directions from anchor that pass every corner since: from low clockwise to high */
    vec high;
    double reach; /* from anchor to last; corners between lie no farther */
    bool has_cone;
    float *xy; /* NULL: only counts */
    size_t n;
} simplifier;

static void emit(simplifier *s, vec p)
{
    if (s->xy != NULL) {
        s->xy[2 * s->n] = (float)(s->origin.x + p.x);
        s->xy[2 * s->n + 1] = (float)(s->origin.y + p.y);
    }
    s->n++;
    s->anchor = p;
    s->reach = 0.0;
    s->has_cone = false;
}

static vec rotate(vec v, double sine, double cosine)
{
    return (vec){v.x * cosine - v.y * sine, v.x * sine + v.y * cosine};
}

/* Narrows the cone to directions that pass p within tolerance; false when p itself is outside, or
 * nearer than the corner before: a spur that returns is no straight line. */
static bool narrow(simplifier *s, vec p)
{
    vec v = {p.x - s->anchor.x, p.y - s->anchor.y};
    double distance = hypot(v.x, v.y);

    if (distance < s->reach)
        return false;
    if (s->has_cone && (cross(s->low, v) < 0.0 || cross(v, s->high) < 0.0))
        return false;
    s->reach = distance;
    if (distance <= s->tolerance)
        return true;
    double sine = s->tolerance / distance;
    double cosine = sqrt(1.0 - sine * sine);
    vec low = rotate(v, -sine, cosine);
    vec high = rotate(v, sine, cosine);
    if (!s->has_cone || cross(s->low, low) > 0.0)
        s->low = low;
    if (!s->has_cone || cross(high, s->high) > 0.0)
        s->high = high;
    s->has_cone = true;
    return true;
}

static void add_corner(simplifier *s, vec p)
{
    if (!narrow(s, p)) {
        emit(s, s->last);
        (void)narrow(s, p);
    }
    s->last = p;
}

static bool is_set(const vly_bitmap *b, int64_t x, int64_t y)
{
    return x >= 0 && y >= 0 && x < b->width && y < b->height &&
           vly_bitmap_get(b, (uint32_t)x, (uint32_t)y);
}

static void mark(vly_bitmap *seen, int64_t x, int64_t y)
{
    seen->words[(size_t)x * seen->column_words + (size_t)y / 64] |= (uint64_t)1 << (y % 64);
}

/* Walks once around from the top left corner of pixel (x, y), along its top edge. Returns the area
 * inside, negative for a hole. */
static int64_t walk(const vly_bitmap *b, vly_bitmap *seen, int64_t x, int64_t y, simplifier *s)
{
    int64_t cx = x;
    int64_t cy = y;
    int64_t area = 0;
    int dir = 0;

    s->last = (vec){(double)x, (double)y};
    emit(s, s->last);
    for (;;) {
        if (dir == 0)
            mark(seen, cx, cy);
        cx += step_x[dir];
        cy += step_y[dir];
        area -= step_x[dir] * cy; /* eastward edges lie above the region: y grows downwards */
        int left = (dir + 3) % 4;
        int turn = 0;
        if (!is_set(b, cx + right_x[dir], cy + right_y[dir]))
            turn = 1; /* also at a diagonal: regions are 4-connected */
        else if (is_set(b, cx + right_x[left], cy + right_y[left]))
            turn = 3;
        dir = (dir + turn) % 4;
        if (cx == x && cy == y && dir == 0)
            break;
        if (turn != 0)
            add_corner(s, (vec){(double)cx, (double)cy});
    }
    add_corner(s, (vec){(double)x, (double)y});
    return area;
}

/* An outline at (x, y), when there is one worth keeping; *ret->xy is NULL when not. */
static vly_status trace(const vly_bitmap *b, vly_bitmap *seen, int64_t x, int64_t y, vec origin,
                        vly_arena *arena, vly_polygon *ret, vly_err *err)
{
    simplifier count = {.tolerance = VLY_OUTLINE_TOLERANCE};

    if (walk(b, seen, x, y, &count) < VLY_OUTLINE_AREA_MIN)
        return VLY_OK;
    if (count.n < 3) { /* a region as thin as the tolerance keeps all its corners */
        count = (simplifier){.tolerance = 0.0};
        (void)walk(b, seen, x, y, &count);
    }
    simplifier fill = {.tolerance = count.tolerance, .origin = origin};
    fill.xy = vly_arena_calloc(arena, count.n, 2 * sizeof(float));
    if (fill.xy == NULL)
        return vly_fail(err, VLY_ELIMIT, "an outline does not fit the memory of a request");
    (void)walk(b, seen, x, y, &fill);
    VLY_ASSERT(fill.n == count.n && fill.n <= UINT32_MAX);
    *ret = (vly_polygon){fill.xy, (uint32_t)fill.n};
    return VLY_OK;
}

/* Edges above a set and below a clear pixel, not walked yet: bit by bit of a column's word. */
static uint64_t starts(const vly_bitmap *b, const vly_bitmap *seen, uint32_t x, uint32_t word)
{
    const uint64_t *column = b->words + (size_t)x * b->column_words;
    uint64_t above = column[word] << 1 | (word > 0 ? column[word - 1] >> 63 : 0);

    return column[word] & ~above & ~seen->words[(size_t)x * seen->column_words + word];
}

vly_status vly_outlines(const vly_bitmap *b, vly_bitmap *seen, uint32_t x0, uint32_t y0,
                        vly_arena *arena, const vly_polygon **ret, uint32_t *ret_count,
                        vly_err *err)
{
    vly_polygon *polygons = vly_arena_calloc(arena, VLY_OUTLINE_COUNT_MAX, sizeof(*polygons));
    const vec origin = {x0, y0};
    uint32_t n = 0;

    if (polygons == NULL)
        return vly_fail(err, VLY_ELIMIT, "outlines do not fit the memory of a request");
    for (uint32_t x = 0; x < b->width; x++)
        for (uint32_t word = 0; word < b->column_words; word++)
            for (uint64_t bits = starts(b, seen, x, word); bits != 0 && n < VLY_OUTLINE_COUNT_MAX;
                 bits = starts(b, seen, x, word)) {
                vly_polygon p = {0};
                int64_t y = (int64_t)word * 64 + __builtin_ctzll(bits);
                vly_status st = trace(b, seen, x, y, origin, arena, &p, err);
                if (st != VLY_OK)
                    return st;
                if (p.xy != NULL)
                    polygons[n++] = p;
            }
    *ret = polygons;
    *ret_count = n;
    return VLY_OK;
}
