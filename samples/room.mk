# Programs beside the filter: the sample scene, the downscale and the measuring of tables. They use
# nothing of the library, so they are linked without it.
SAMPLES_SRC_fsr_scene := scene scene_world scene_texture scene_render y4m
SAMPLES_SRC_fsr_downscale := downscale_main downscale y4m
SAMPLES_SRC_fsr_measure := measure y4m
SAMPLES_BIN := $(O)/bin/fsr_scene $(O)/bin/fsr_downscale $(O)/bin/fsr_measure
SAMPLES_OBJ = $(SAMPLES_SRC_$(1):%=$(O)/obj/samples/%.o)

$(O)/bin/fsr_scene: $(call SAMPLES_OBJ,fsr_scene)
$(O)/bin/fsr_downscale: $(call SAMPLES_OBJ,fsr_downscale)
$(O)/bin/fsr_measure: $(call SAMPLES_OBJ,fsr_measure)
$(SAMPLES_BIN):
	@mkdir -p $(@D)
	$(CC) $(SANITIZE) $(CONF_LDFLAGS) $^ -o $@ -lpthread -lm

DEMO_DEPS += $(SAMPLES_BIN)
CHECK_DEPS += $(SAMPLES_BIN)

-include $(foreach p,fsr_scene fsr_downscale fsr_measure,$(patsubst %.o,%.d,$(call SAMPLES_OBJ,$(p))))

# The unit test is linked with the parts it looks at.
$(O)/tests/test_scene: $(patsubst %,$(O)/obj/samples/%.o,scene_world scene_texture scene_render downscale y4m)
