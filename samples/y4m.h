/*
 * YUV4MPEG2 files and pipes for the small tools in this room.
 *
 * Samples are held as uint16_t whatever the depth, planes packed without padding, so that one piece
 * of code serves 8 and 10 bit. Reading: fsr_y4m_open, fsr_y4m_read until it gives 0, fsr_y4m_close.
 * Writing: fill `fmt`, fsr_y4m_create, fsr_y4m_write, fsr_y4m_close. A file is written as PATH.part
 * and gets its name only when fsr_y4m_close is told that it is complete; devices, pipes and links (/dev/stdout
 * may lead to a file) are written as they are.
 */
#ifndef FSR_SAMPLES_Y4M_H
#define FSR_SAMPLES_Y4M_H

#include <stdint.h>
#include <stdio.h>

#define FSR_Y4M_MAX_SIDE 16384

typedef enum FsrY4mSiting {
    FSR_Y4M_LEFT,    /**< chroma on the left luma column, between rows (MPEG-2, H.264, HEVC default) */
    FSR_Y4M_CENTRE,  /**< between columns and rows (JPEG) */
    FSR_Y4M_TOPLEFT, /**< on the luma sample (PAL DV, HDR) */
} FsrY4mSiting;

typedef struct FsrY4mFormat {
    int width, height;      /**< luma size, 1 to FSR_Y4M_MAX_SIDE */
    int bits;               /**< 8 or 10 */
    int planes;             /**< 1 (gray) or 3 */
    int shift_x, shift_y;   /**< chroma size = luma size rounded up to and divided by 1 << shift */
    FsrY4mSiting siting;    /**< only 4:2:0 names anything but FSR_Y4M_LEFT */
    int full_range;         /**< 0: limited range, as when the header says nothing */
    int rate_num, rate_den; /**< frames a second */
    int sar_num, sar_den;   /**< 0:0 unknown */
} FsrY4mFormat;

typedef struct FsrY4m {
    FsrY4mFormat fmt;
    FILE *file;
    char *path, *part;   /**< part: the temporary name while writing, or NULL */
    uint8_t *raw;        /**< one row as it stands in the file */
    int64_t frames;      /**< read or written so far */
    char error[256];     /**< reason, when a call gave a negative number */
} FsrY4m;

/** Width and height of plane p in samples. */
int fsr_y4m_plane_width(const FsrY4mFormat *f, int p);
int fsr_y4m_plane_height(const FsrY4mFormat *f, int p);

/** Room for the planes of one frame in one allocation: planes[0] is to be freed. 0 or -ENOMEM. */
int fsr_y4m_alloc(const FsrY4mFormat *f, uint16_t *planes[3]);

/** Opens PATH ("-": standard input) and reads the header into y->fmt.
 *  0, -ENOENT and its like, -EINVAL for what is no y4m, -ENOSYS for a colour format not listed above. */
int fsr_y4m_open(FsrY4m *y, const char *path);

/** Next frame into planes: 1 read, 0 end of file, -EIO on a frame cut off, -EINVAL on a broken one. */
int fsr_y4m_read(FsrY4m *y, uint16_t *const planes[3]);

/** Starts PATH ("-": standard output) with the header of `fmt`. */
int fsr_y4m_create(FsrY4m *y, const char *path, const FsrY4mFormat *fmt);

/** Appends a frame: 0 or -EIO. */
int fsr_y4m_write(FsrY4m *y, const uint16_t *const planes[3]);

/** Ends reading or writing and frees. A file being written gets its name if `complete`, else it is
 *  removed. 0 or negative errno when the last bytes could not be written; y->error stays readable. */
int fsr_y4m_close(FsrY4m *y, int complete);

#endif
