#include "samples/y4m.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/** The colour tags of the header that these tools know; the first that fits is the one written. */
static const struct {
    const char *tag;
    int bits, planes, shift_x, shift_y;
    FsrY4mSiting siting;
} colours[] = {
    { "420mpeg2", 8, 3, 1, 1, FSR_Y4M_LEFT },   { "420jpeg", 8, 3, 1, 1, FSR_Y4M_CENTRE },
    { "420paldv", 8, 3, 1, 1, FSR_Y4M_TOPLEFT }, { "420p10", 10, 3, 1, 1, FSR_Y4M_LEFT },
    { "420", 8, 3, 1, 1, FSR_Y4M_CENTRE },      { "422", 8, 3, 1, 0, FSR_Y4M_LEFT },
    { "422p10", 10, 3, 1, 0, FSR_Y4M_LEFT },    { "444", 8, 3, 0, 0, FSR_Y4M_LEFT },
    { "444p10", 10, 3, 0, 0, FSR_Y4M_LEFT },    { "mono", 8, 1, 0, 0, FSR_Y4M_LEFT },
    { "mono10", 10, 1, 0, 0, FSR_Y4M_LEFT },
};
#define COLOURS (int)(sizeof(colours) / sizeof(colours[0]))

static int fail(FsrY4m *y, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(y->error, sizeof(y->error), fmt, ap);
    va_end(ap);
    return code;
}

int fsr_y4m_plane_width(const FsrY4mFormat *f, int p)
{
    return p ? (f->width + (1 << f->shift_x) - 1) >> f->shift_x : f->width;
}

int fsr_y4m_plane_height(const FsrY4mFormat *f, int p)
{
    return p ? (f->height + (1 << f->shift_y) - 1) >> f->shift_y : f->height;
}

int fsr_y4m_alloc(const FsrY4mFormat *f, uint16_t *planes[3])
{
    size_t luma = (size_t)f->width * f->height, chroma = 0;

    if (f->planes == 3)
        chroma = (size_t)fsr_y4m_plane_width(f, 1) * fsr_y4m_plane_height(f, 1);
    planes[0] = calloc(luma + 2 * chroma, sizeof(*planes[0]));
    if (!planes[0])
        return -ENOMEM;
    planes[1] = chroma ? planes[0] + luma : NULL;
    planes[2] = chroma ? planes[1] + chroma : NULL;
    return 0;
}

/** One line of the header or a frame header, without its newline; anything longer is no y4m. */
static int read_line(FILE *f, char *line, int size)
{
    int n = 0, c;

    while ((c = getc(f)) != EOF && c != '\n') {
        if (n + 1 >= size)
            return -EINVAL;
        line[n++] = (char)c;
    }
    line[n] = 0;
    return c == EOF ? (n ? -EIO : 0) : 1;
}

static int parse_colour(FsrY4m *y, const char *tag)
{
    for (int i = 0; i < COLOURS; i++) {
        if (strcmp(tag, colours[i].tag))
            continue;
        y->fmt.bits = colours[i].bits;
        y->fmt.planes = colours[i].planes;
        y->fmt.shift_x = colours[i].shift_x;
        y->fmt.shift_y = colours[i].shift_y;
        y->fmt.siting = colours[i].siting;
        return 0;
    }
    return fail(y, -ENOSYS, "%s: y4m colour format '%s' is not supported: 8 or 10 bit gray, 4:2:0, "
                "4:2:2 or 4:4:4 (convert with ffmpeg -pix_fmt yuv420p)", y->path, tag);
}

static int parse_header(FsrY4m *y, char *line)
{
    FsrY4mFormat *f = &y->fmt;
    int ret = parse_colour(y, "420jpeg");

    f->rate_num = 25;
    f->rate_den = 1;
    if (strncmp(line, "YUV4MPEG2 ", 10))
        return fail(y, -EINVAL, "%s: not a y4m file (make one with ffmpeg ... -f yuv4mpegpipe)", y->path);
    for (char *t = strtok(line + 10, " "); t && ret >= 0; t = strtok(NULL, " ")) {
        switch (*t) {
        case 'W': f->width = atoi(t + 1); break;
        case 'H': f->height = atoi(t + 1); break;
        case 'F': ret = sscanf(t + 1, "%d:%d", &f->rate_num, &f->rate_den) == 2 ? 0 : -EINVAL; break;
        case 'A': ret = sscanf(t + 1, "%d:%d", &f->sar_num, &f->sar_den) == 2 ? 0 : -EINVAL; break;
        case 'C': ret = parse_colour(y, t + 1); break;
        case 'X': if (!strcmp(t, "XCOLORRANGE=FULL")) f->full_range = 1; break;
        default: break;
        }
    }
    if (ret == -EINVAL)
        return fail(y, ret, "%s: broken y4m header", y->path);
    if (ret >= 0 && (f->width < 1 || f->height < 1 || f->width > FSR_Y4M_MAX_SIDE || f->height > FSR_Y4M_MAX_SIDE))
        return fail(y, -EINVAL, "%s: frame size %dx%d is out of range (1 to %d)", y->path, f->width, f->height,
                    FSR_Y4M_MAX_SIDE);
    return ret;
}

int fsr_y4m_open(FsrY4m *y, const char *path)
{
    char line[1024];
    int ret;

    memset(y, 0, sizeof(*y));
    y->path = strdup(strcmp(path, "-") ? path : "standard input");
    if (!y->path)
        return fail(y, -ENOMEM, "out of memory");
    y->file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    if (!y->file)
        return fail(y, -errno, "%s: %s", path, strerror(errno));
    ret = read_line(y->file, line, sizeof(line));
    if (ret == 0)
        return fail(y, -EINVAL, "%s: empty, no y4m header", y->path);
    if (ret < 0)
        return fail(y, -EINVAL, "%s: not a y4m file (make one with ffmpeg ... -f yuv4mpegpipe)", y->path);
    ret = parse_header(y, line);
    if (ret < 0)
        return ret;
    y->raw = malloc((size_t)y->fmt.width * 2);
    return y->raw ? 0 : fail(y, -ENOMEM, "out of memory");
}

static int read_plane(FsrY4m *y, uint16_t *dst, int w, int h)
{
    int max = (1 << y->fmt.bits) - 1;

    for (int r = 0; r < h; r++, dst += w) {
        size_t bytes = (size_t)w * (y->fmt.bits > 8 ? 2 : 1);
        if (fread(y->raw, 1, bytes, y->file) != bytes)
            return fail(y, -EIO, "%s: frame %lld is cut off", y->path, (long long)y->frames);
        for (int i = 0; i < w; i++) {
            dst[i] = y->fmt.bits > 8 ? (uint16_t)(y->raw[2 * i] | y->raw[2 * i + 1] << 8) : y->raw[i];
            if (dst[i] > max)
                return fail(y, -EINVAL, "%s: frame %lld has a sample above %d", y->path, (long long)y->frames, max);
        }
    }
    return 0;
}

int fsr_y4m_read(FsrY4m *y, uint16_t *const planes[3])
{
    char line[256];
    int ret = read_line(y->file, line, sizeof(line));

    if (ret == 0)
        return 0;
    if (ret < 0 || strncmp(line, "FRAME", 5))
        return fail(y, -EINVAL, "%s: frame %lld does not begin with FRAME", y->path, (long long)y->frames);
    for (int p = 0; p < y->fmt.planes; p++) {
        ret = read_plane(y, planes[p], fsr_y4m_plane_width(&y->fmt, p), fsr_y4m_plane_height(&y->fmt, p));
        if (ret < 0)
            return ret;
    }
    y->frames++;
    return 1;
}

static const char *colour_tag(const FsrY4mFormat *f)
{
    for (int i = 0; i < COLOURS; i++)
        if (colours[i].bits == f->bits && colours[i].planes == f->planes &&
            (f->planes == 1 || (colours[i].shift_x == f->shift_x && colours[i].shift_y == f->shift_y)) &&
            (f->bits > 8 || colours[i].siting == f->siting || !f->shift_y))
            return colours[i].tag;
    return NULL;
}

int fsr_y4m_create(FsrY4m *y, const char *path, const FsrY4mFormat *fmt)
{
    const char *tag = colour_tag(fmt);
    int to_file = strcmp(path, "-") != 0, is_part;
    struct stat st;

    memset(y, 0, sizeof(*y));
    y->fmt = *fmt;
    if (!tag)
        return fail(y, -ENOSYS, "y4m cannot hold this format");
    y->path = strdup(to_file ? path : "standard output");
    y->raw = malloc((size_t)fmt->width * 2);
    is_part = to_file && (lstat(path, &st) || S_ISREG(st.st_mode));    /* devices, pipes and links are written as they are */
    y->part = is_part ? malloc(strlen(path) + 6) : NULL;
    if (!y->path || !y->raw || (is_part && !y->part))
        return fail(y, -ENOMEM, "out of memory");
    if (is_part)
        sprintf(y->part, "%s.part", path);
    y->file = to_file ? fopen(is_part ? y->part : path, "wb") : stdout;
    if (!y->file)
        return fail(y, -errno, "%s: %s", is_part ? y->part : path, strerror(errno));
    fprintf(y->file, "YUV4MPEG2 W%d H%d F%d:%d Ip A%d:%d C%s XCOLORRANGE=%s\n", fmt->width, fmt->height,
            fmt->rate_num, fmt->rate_den, fmt->sar_num, fmt->sar_den, tag, fmt->full_range ? "FULL" : "LIMITED");
    return 0;
}

int fsr_y4m_write(FsrY4m *y, const uint16_t *const planes[3])
{
    fputs("FRAME\n", y->file);
    for (int p = 0; p < y->fmt.planes; p++) {
        int w = fsr_y4m_plane_width(&y->fmt, p), h = fsr_y4m_plane_height(&y->fmt, p);
        const uint16_t *src = planes[p];
        for (int r = 0; r < h; r++, src += w) {
            size_t bytes = (size_t)w * (y->fmt.bits > 8 ? 2 : 1);
            for (int i = 0; i < w; i++) {
                if (y->fmt.bits > 8) {
                    y->raw[2 * i] = src[i] & 255;
                    y->raw[2 * i + 1] = (uint8_t)(src[i] >> 8);
                } else {
                    y->raw[i] = (uint8_t)src[i];
                }
            }
            if (fwrite(y->raw, 1, bytes, y->file) != bytes)
                return fail(y, -EIO, "%s: %s", y->path, strerror(errno));
        }
    }
    y->frames++;
    return 0;
}

int fsr_y4m_close(FsrY4m *y, int complete)
{
    int ret = 0;

    if (y->file && y->file != stdin) {
        int bad = fflush(y->file) || ferror(y->file);
        if (y->file != stdout)
            bad |= fclose(y->file) != 0;
        if (bad)
            ret = fail(y, -EIO, "%s: could not be written completely", y->path);
    }
    if (y->part && y->file) {
        if (complete && !ret && rename(y->part, y->path))
            ret = fail(y, -errno, "%s: %s", y->path, strerror(errno));
        if (!complete || ret)
            remove(y->part);
    }
    free(y->part);
    free(y->path);
    free(y->raw);
    y->file = NULL;
    y->part = y->path = NULL;
    y->raw = NULL;
    return ret;
}
