/*
 * fastsr: the motion record, what a decoder knows of one picture
 *
 * Plain bytes in host byte order, versioned, without pointers, independent of the
 * decoder that wrote them; a copy of the bytes is a copy of the record.
 *
 *     FsrRecord | nb_refs x FsrRef | nb_held x uint32_t | nb_blocks x FsrBlock
 *
 * A producer allocates fsr_record_capacity() bytes, opens the record when the
 * picture starts (state FSR_PENDING), and completes it when the picture is decoded:
 *
 *     FsrRecord *r = fsr_record_open(buf, capacity, width, height);
 *     r->number = ++counter;                  // and the other header fields
 *     int ref = fsr_record_add_ref(r, &(FsrRef){ .number = 7, .poc = 24 });
 *     fsr_record_add_held(r, 7);
 *     FsrBlock *b = fsr_record_add_block(r);  // all zero but the references
 *     *b = (FsrBlock){ .w = 4, .h = 4, .mode = FSR_SKIP, .ref = { ref, FSR_NO_REF } };
 *     r->state = FSR_DONE;
 *
 * A consumer never reads the bytes directly: fsr_motion_load() validates every
 * field once and gives an FsrMotion, which is safe to use without further checks.
 */
#ifndef FASTSR_RECORD_H
#define FASTSR_RECORD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FSR_RECORD_MAGIC    0x31525346u     /* "FSR1" */
#define FSR_RECORD_VERSION  1
#define FSR_MAX_REFS        64              /* entries of a picture's reference table */
#define FSR_MAX_HELD        32              /* pictures a decoder can hold */
#define FSR_NO_REF          0xff
#define FSR_MAX_SIZE        16384           /* luma samples, each direction */
#define FSR_SIDE_DATA_TYPE  200             /* the number under which a record travels with an FFmpeg frame */

enum FsrState { FSR_PENDING, FSR_PARTIAL, FSR_DONE };

/* Picture kinds. The order matters: everything from FSR_KIND_BLA on is an IRAP picture (H.265 3.73). */
enum FsrKind {
    FSR_KIND_TRAIL, FSR_KIND_TSA, FSR_KIND_STSA, FSR_KIND_RADL, FSR_KIND_RASL,
    FSR_KIND_BLA, FSR_KIND_CRA, FSR_KIND_IDR,
};

/* flags of a picture */
enum { FSR_PIC_REFERENCE = 1,       /* may be referred to (not a sub-layer non-reference picture) */
       FSR_PIC_FIRST     = 2,       /* IRAP that starts a coded video sequence: nothing earlier is referred to (NoRaslOutputFlag, H.265 8.1.3) */
};

/* flags of a reference */
enum { FSR_REF_LONG_TERM = 1,
       FSR_REF_MISSING   = 2,       /* the decoder did not have it and made one up */
       FSR_REF_WEIGHTED  = 4,       /* the weights below differ from the default prediction */
       FSR_REF_DIRECTION = 8,       /* imported motion: number is 0, and poc only says past or future:
                                     * it is before or behind the record's own */
};

/*
 * One way to refer to a picture. The same picture stands in the table once for each
 * set of weights with which slices use it, so a block needs no slice number.
 * Weighted prediction, H.265 8.5.3.3.4.3: denominators are powers of two, offsets in
 * units of the picture's own bit depth. An entry that is not FSR_REF_WEIGHTED has
 * denominators 0, weights 1 and offsets 0, so the formula holds for it as well; where
 * the two references of a block have different denominators, that of the weighted one
 * counts and the other's weight is 1 << it.
 */
typedef struct FsrRef {
    uint32_t number;            /* FsrRecord.number of the picture referred to; 0 = unknown */
    int32_t  poc;
    uint8_t  flags;
    uint8_t  log2_denom[2];     /* luma, chroma */
    uint8_t  pad;
    int16_t  weight[3];         /* Y Cb Cr */
    int16_t  offset[3];
} FsrRef;

enum FsrMode { FSR_UNKNOWN, FSR_INTRA, FSR_INTER, FSR_SKIP };

/* flags of a block */
enum { FSR_BLOCK_RESIDUAL = 1,      /* a luma transform block inside has coefficients */
       FSR_BLOCK_LOSSLESS = 2,      /* PCM or transquant bypass with in-loop filters off */
};

/*
 * One prediction block, in luma samples of the coded picture; position and size are
 * multiples of 4, w and h at most 64. Blocks stand in decoding order, do not overlap,
 * and never cross a coding block; cells that no block covers are unknown.
 * The parts of one coding block stand as one block where their motion is equal, and an
 * intra coding block is always one block.
 */
typedef struct FsrBlock {
    uint16_t x, y;              /* in units of 4 luma samples */
    uint8_t  w, h;              /* in units of 4 luma samples */
    uint8_t  mode;              /* enum FsrMode */
    uint8_t  flags;
    int8_t   qp;
    uint8_t  pad;
    uint8_t  ref[2];            /* index into the reference table for list 0 and 1, or FSR_NO_REF */
    int16_t  mv[2][2];          /* [list][x, y] in quarter luma samples; 0 where ref is FSR_NO_REF */
} FsrBlock;

typedef struct FsrRecord {
    uint32_t magic;
    uint16_t version;
    uint16_t header_size;       /* sizeof(FsrRecord) */
    uint32_t size;              /* bytes in use, all tables included */
    uint32_t capacity;          /* bytes of the buffer */
    uint32_t number;            /* counts the decoder's pictures in decoding order from 1; goes on over seeks */
    int32_t  poc;
    uint8_t  state;             /* enum FsrState */
    uint8_t  kind;              /* enum FsrKind */
    uint8_t  type;              /* 'I', 'P' or 'B': the most general slice type of the picture */
    uint8_t  temporal_id;
    uint8_t  flags;
    uint8_t  bit_depth;         /* luma */
    uint8_t  chroma_format;     /* chroma_format_idc, H.265 6.2: 0 gray, 1 4:2:0, 2 4:2:2, 3 4:4:4 */
    uint8_t  pad;
    uint16_t coded_w, coded_h;  /* luma samples */
    uint16_t crop_left, crop_right, crop_top, crop_bottom;  /* luma samples outside the shown picture, as coded
                                 * (FFmpeg may show more on the left: coded_w - crop_right - width of the frame) */
    uint32_t missing_ctbs;      /* coding tree blocks that were not decoded */
    uint16_t nb_slices;
    uint16_t nb_refs;
    uint16_t nb_held;
    uint16_t pad2;
    uint32_t nb_blocks;
} FsrRecord;

/* Producer side ------------------------------------------------------------ */

/* Bytes that hold any record of a picture of this coded size whose smallest coding block has
 * min_coding_block luma samples a side: 8 (at most two parts in each), 16 and more (four parts),
 * or 4 for other codecs (one block for each cell). 0 if an argument is out of range. */
size_t fsr_record_capacity(int coded_w, int coded_h, int min_coding_block);

/* Initialise buf, aligned to 4 bytes, as an empty pending record. The caller then sets the header
 * fields it knows. NULL if capacity cannot hold the header and full tables of references and held
 * pictures, or if the size is out of range. */
FsrRecord *fsr_record_open(void *buf, size_t capacity, int coded_w, int coded_h);

/* Index of an equal entry of the reference table, added if it is new; FSR_NO_REF when the table is full.
 * Reference entries must be complete before the first held number or block is added.
 * Weights of an entry that is not FSR_REF_WEIGHTED need not be set. */
int fsr_record_add_ref(FsrRecord *r, const FsrRef *ref);

/* Add a number to the held pictures, before the first block. 0, or -ENOSPC when the table is full. */
int fsr_record_add_held(FsrRecord *r, uint32_t number);

/* Room for one more block (all zero, no references), or NULL when the record is full, which
 * cannot happen for a legal picture. */
FsrBlock *fsr_record_add_block(FsrRecord *r);

/* Consumer side ------------------------------------------------------------ */

/* A validated record. Arrays point into memory that the FsrMotion owns and reuses; start from { 0 }. */
typedef struct FsrMotion {
    FsrRecord hdr;              /* nb_blocks counts the blocks below */
    FsrRef    refs[FSR_MAX_REFS];
    uint32_t  held[FSR_MAX_HELD];
    FsrBlock *blocks;           /* hdr.nb_blocks of them */
    uint32_t  nb_bad;           /* blocks, references and held numbers that validation rejected */
    size_t    alloc;            /* blocks allocated */
    uint64_t *covered;          /* private: a bit for each cell */
    size_t    covered_alloc;
} FsrMotion;

/*
 * Validate size bytes and copy them. On success
 * - blocks cover every cell of the coded picture exactly once: those of the record in their
 *   order, without those that are misplaced or overlap an earlier one, then blocks of mode
 *   FSR_UNKNOWN for the holes;
 * - inter and skip blocks have at least one reference, every reference index is in range,
 *   vectors reach at most FSR_MAX_SIZE samples outside the picture (by their type);
 * - blocks with any other bad field have mode FSR_UNKNOWN;
 * - numbers of references and held pictures are not later than the record's own.
 * 0, -EINVAL (not a record, or none that can be trusted), -EAGAIN (still pending), -ENOMEM.
 * After an error the FsrMotion holds no blocks and can be used again.
 */
int  fsr_motion_load(FsrMotion *m, const void *data, size_t size);
void fsr_motion_free(FsrMotion *m);

/* The canonical form: 4x4 cells in raster order. An unknown cell is zero but for its references. */
typedef struct FsrCell {
    int16_t mv[2][2];
    uint8_t ref[2];             /* FSR_NO_REF where unused */
    uint8_t mode, flags;
    int8_t  qp;
    uint8_t pad[3];             /* 0 */
} FsrCell;

/* Cells of a picture in one direction. */
static inline int fsr_cells(int luma_samples) { return (luma_samples + 3) / 4; }

/* Expand to cells: fsr_cells(coded_w) x fsr_cells(coded_h) of them, the caller's array. */
void fsr_motion_cells(const FsrMotion *m, FsrCell *cells);

/* Checksum of the cells with references taken as (number, POC, flags, weights), so that it does not
 * depend on the order of the reference table. Not for protection against intent. */
uint64_t fsr_motion_checksum(const FsrMotion *m, const FsrCell *cells);

#ifdef __cplusplus
}
#endif

#endif /* FASTSR_RECORD_H */
