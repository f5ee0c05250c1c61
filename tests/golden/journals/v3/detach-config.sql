-- 0 before
-- 1 after
-- 2 killed 04 detach
-- 3 killed 06 detach
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 0-3
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 0-3
INSERT INTO "duration_totals" VALUES('detach','release',0.001,1,0.0); -- 1
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic1','fake','52:54:00:00:00:01','bridge','br0','virtio','vnet0','','','Initialised','Connected','',1700000000.0); -- 0-3
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-nic2','fake','52:54:00:00:00:02','network','default','virtio','vnet1','00000000-0000-4000-8000-000000000001','default','Initialised','Connected','',1700000000.0); -- 0-3
INSERT INTO "operation_totals" VALUES('attach','mixed','done','',1); -- 0-3
INSERT INTO "operation_totals" VALUES('detach','mixed','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','mixed','{"nics":[{"alias":"ua-nic1","mac":"52:54:00:00:00:01","type":"bridge","element":"<interface type=''bridge''><mac address=''52:54:00:00:00:01''/><source bridge=''br0''/><model type=''virtio''/><alias name=''ua-nic1''/></interface>"},{"alias":"ua-nic2","mac":"52:54:00:00:00:02","type":"network","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''default''/><model type=''virtio''/><alias name=''ua-nic2''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 0-3
INSERT INTO "operations" VALUES(2,'000000000004','detach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'config','mixed','{"nics":[{"alias":"ua-nic1","live":null,"config":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/></interface>"},{"alias":"ua-nic2","live":null,"config":"<interface type=\"network\"><mac address=\"52:54:00:00:00:02\"/><source network=\"default\"/><model type=\"virtio\"/><alias name=\"ua-nic2\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x03\" function=\"0x0\"/></interface>"}],"asked":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(2,'000000000004','detach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'config','mixed','{"nics":[{"alias":"ua-nic1","live":null,"config":"<interface type=\"bridge\"><mac address=\"52:54:00:00:00:01\"/><source bridge=\"br0\"/><model type=\"virtio\"/><alias name=\"ua-nic1\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x02\" function=\"0x0\"/></interface>"},{"alias":"ua-nic2","live":null,"config":"<interface type=\"network\"><mac address=\"52:54:00:00:00:02\"/><source network=\"default\"/><model type=\"virtio\"/><alias name=\"ua-nic2\"/><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" slot=\"0x03\" function=\"0x0\"/></interface>"}],"asked":[]}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 2-3
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-nic1','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',2,'reserve','ua-nic2','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',3,'allocate_actual_device','ua-nic2','allocate',NULL,'done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',4,'host_net_add','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',5,'confirm','ua-nic1','plug','live','done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',6,'host_net_add','ua-nic2','plug','live','done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',7,'confirm','ua-nic2','plug','live','done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',8,'define','ua-nic1','plug','config','done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000002',9,'define','ua-nic2','plug','config','done',1700000000.0,0.0,''); -- 0-3
INSERT INTO "steps" VALUES('000000000004',0,'undefine','ua-nic1','release','config','done',1700000000.0,0.0,''); -- 1 3
INSERT INTO "steps" VALUES('000000000004',1,'undefine','ua-nic2','release','config','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000004',0,'undefine','ua-nic1','release','config','started',1700000000.0,NULL,''); -- 2
INSERT INTO "steps" VALUES('000000000004',1,'undefine','ua-nic2','release','config','planned',NULL,NULL,''); -- 2
INSERT INTO "steps" VALUES('000000000004',1,'undefine','ua-nic2','release','config','started',1700000000.0,NULL,''); -- 3
