/* fill=copy: the network on every picture, but where nothing has moved. */
#include <errno.h>

#include "engine_sim.h"
#include "models/models.h"

static FsrNet *hr_net, *lr_net;     /* one that takes the upscaled picture, one that takes the small one */

static Sim *stream(int vx, int vy)
{
    Sim *s = sim_new(104, 72, 2);

    s->vx = vx;
    s->vy = vy;
    sim_low_delay(s, 6);
    return s;
}

/* A picture that stands still is worked on once. */
static void standing_picture(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const FsrNet *net = k ? lr_net : hr_net;
        Sim    *s = stream(0, 0);
        SimRun *all  = sim_run(s, &(SimConfig){ .net = net, .interval = 1 });
        SimRun *copy = sim_run(s, &(SimConfig){ .fill = FSR_FILL_COPY, .net = net });

        for (int i = 0; i < copy->nb; i++)
            assert_memory_equal(copy->data[i], all->data[0], copy->size);
        assert_true(copy->totals.macs < all->totals.macs / (s->nb - 1));
        assert_true(copy->stats[1].transferred == 1);
        sim_end(all);
        sim_end(copy);
        sim_free(s);
    }
}

/* Where everything moves by parts of a sample it is the network on every picture, to the bit, for any number of workers. */
static void moving_picture(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const FsrNet *net = k ? lr_net : hr_net;
        Sim    *s = stream(3, -1);
        SimRun *all  = sim_run(s, &(SimConfig){ .net = net, .interval = 1 });

        for (int workers = 0; workers < 4; workers += 3) {
            SimRun *copy = sim_run(s, &(SimConfig){ .fill = FSR_FILL_COPY, .net = net, .workers = workers });

            for (int i = 0; i < copy->nb; i++)
                assert_memory_equal(copy->data[i], all->data[i], copy->size);
            sim_end(copy);
        }
        sim_end(all);
        sim_free(s);
    }
}

/* Vectors of the left half say that nothing moves, which is only true of the disc. */
static void stop_left(void *arg, int display, uint8_t *record, size_t *size)
{
    FsrRecord *r = (FsrRecord *)record;
    FsrBlock  *b = sim_blocks(record);

    (void)arg;
    (void)display;
    (void)size;
    for (uint32_t i = 0; i < r->nb_blocks; i++)
        if (b[i].x < 13)
            memset(b[i].mv, 0, sizeof(b[i].mv));
}

/* Vectors that lie copy nothing. */
static void lying_vectors(void **state)
{
    Sim    *s = stream(3, -1);
    SimRun *all  = sim_run(s, &(SimConfig){ .net = lr_net, .interval = 1 });
    SimRun *copy = sim_run(s, &(SimConfig){ .fill = FSR_FILL_COPY, .net = lr_net, .edit = stop_left });

    (void)state;
    for (int i = 0; i < copy->nb; i++)
        assert_memory_equal(copy->data[i], all->data[i], copy->size);
    sim_end(all);
    sim_end(copy);
    sim_free(s);
}

static void needs_network(void **state)
{
    Sim    *s = stream(0, 0);
    SimRun *r = sim_start(s, &(SimConfig){ .fill = FSR_FILL_COPY });

    (void)state;
    assert_int_equal(r->ret, -EINVAL);
    sim_end(r);
    sim_free(s);
}

static int load(void **state)
{
    char err[256];
    int  ret = 0;

    (void)state;
    for (const FsrModelEntry *m = fsr_models; m->name && ret >= 0; m++) {
        if (!strcmp(m->name, "srcnn-915-x2"))
            ret = fsr_nn_load(&hr_net, m->data, m->size, err, sizeof(err));
        if (!strcmp(m->name, "sesr-m5-x2-coded"))
            ret = fsr_nn_load(&lr_net, m->data, m->size, err, sizeof(err));
    }
    return ret < 0 || !hr_net || !lr_net ? -1 : 0;
}

static int unload(void **state)
{
    (void)state;
    fsr_nn_free(&hr_net);
    fsr_nn_free(&lr_net);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standing_picture),
        cmocka_unit_test(moving_picture),
        cmocka_unit_test(lying_vectors),
        cmocka_unit_test(needs_network),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
