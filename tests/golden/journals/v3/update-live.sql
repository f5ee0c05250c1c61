-- 0 before
-- 1 after
-- 2 killed 05 update
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 0-2
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 0-2
INSERT INTO "duration_totals" VALUES('update','plug',0.001,1,0.0); -- 1
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic1','fake','52:54:00:00:00:01','bridge','br0','virtio','vnet0','','','Initialised','Connected','',1700000000.0); -- 0 2
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic1','fake','52:54:00:00:00:01','bridge','br1','virtio','vnet0','','','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "operation_totals" VALUES('attach','bridge','done','',1); -- 0-2
INSERT INTO "operation_totals" VALUES('update','bridge','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','bridge','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 0-2
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-nic1"}],"asked":[],"replace":false,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br1\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["source_bridge"]}}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(2,'000000000004','update','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'live','bridge','{"nics":[{"alias":"ua-nic1"}],"asked":[],"replace":false,"live":{"before":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","after":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br1\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/><target dev=\"vnet0\"/></interface>","changed":["source_bridge"]}}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 2
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-2
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-2
INSERT INTO "steps" VALUES('000000000002',2,'host_net_add','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 0-2
INSERT INTO "steps" VALUES('000000000002',3,'confirm','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 0-2
INSERT INTO "steps" VALUES('000000000002',4,'define','ua-nic1','plug','config','done',1700000000.0,0.0,''); -- 0-2
INSERT INTO "steps" VALUES('000000000004',0,'change','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000004',1,'confirm','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000004',0,'change','ua-nic1','plug','live','started',1700000000.0,NULL,''); -- 2
INSERT INTO "steps" VALUES('000000000004',1,'confirm','ua-nic1','plug','live','planned',NULL,NULL,''); -- 2
